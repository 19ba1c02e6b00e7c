//! Days on which nothing goes wrong.

use serde_json::json;

use super::super::*;
use super::world::{World, status};

#[test]
fn a_task_runs_from_offer_to_acknowledged_end() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    assert_eq!(framework.as_str(), "m1-0000");
    let session = world.agent(None, vec![], vec![]);
    let offers = world.offers("s1");
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].id.value, "m1-O1");
    assert_eq!(offers[0].agent_id.value, "m1-S0");
    assert_eq!(offers[0].url.as_ref().unwrap().path.as_deref(), Some("/slave(1)"));
    world.launch(&framework, &offers[0], "t1", 1.0);
    let told = world.told(session);
    assert!(
        matches!(&told[0], Body::Registered(it) if it.agent_id.as_ref().unwrap().value == "m1-S0")
    );
    assert!(matches!(&told[1], Body::Resources(it) if it.resources.len() == 3));
    assert!(matches!(&told[2], Body::Launch(it) if it.tasks[0].task_id.value == "t1"));
    // The rest was declined with the default filter.
    assert!(world.offers("s1").is_empty());

    world.status(session, &framework, "t1", "TASK_RUNNING");
    world.status(session, &framework, "t1", "TASK_RUNNING");
    let updates = world.updates("s1");
    assert_eq!(updates.len(), 2);
    assert_eq!(updates[0].agent_id.as_ref().unwrap().value, "m1-S0");
    assert!(updates[0].uuid.is_some());
    world.acknowledge(&framework, "m1-S0", "t1", "TASK_RUNNING");
    assert!(
        matches!(&world.told(session)[0], Body::Acknowledge(it) if it.task_id.as_ref().unwrap().value == "t1")
    );

    world.status(session, &framework, "t1", "TASK_FINISHED");
    // Freed at once, although the filter lasts: it is more than was declined.
    let offers = world.offers("s1");
    assert_eq!(offers.len(), 1);
    assert!(world.ledger.frameworks[&framework].tasks.contains_key("t1"));
    world.acknowledge(&framework, "m1-S0", "t1", "TASK_FINISHED");
    assert!(world.ledger.frameworks[&framework].tasks.is_empty());
    assert_eq!(world.ledger.frameworks[&framework].completed.len(), 1);
}

#[test]
fn declined_offers_come_back_when_the_filter_ends() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.call(&framework, json!({"type": "DECLINE", "decline": {"offer_ids": [offer.id], "filters": {"refuse_seconds": 7}}}));
    world.wait(6999);
    assert!(world.offers("s1").is_empty());
    world.wait(1);
    assert_eq!(world.offers("s1").len(), 1);
}

#[test]
fn what_one_declines_goes_to_the_other() {
    let mut world = World::new();
    let first = world.subscribe("s1", json!({})).unwrap();
    world.subscribe("s2", json!({})).unwrap();
    world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.call(&first, json!({"type": "DECLINE", "decline": {"offer_ids": [offer.id]}}));
    assert_eq!(world.offers("s2").len(), 1);
}

#[test]
fn unanswered_offers_are_taken_back() {
    let mut world = World::new();
    world.subscribe("s1", json!({})).unwrap();
    world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.wait(120_000);
    let rescind = world.events["s1"].iter().find_map(|event| event.rescind.as_ref()).unwrap();
    assert_eq!(rescind.offer_id, offer.id);
    assert!(world.offers("s1").is_empty());
    world.wait(5000);
    assert_eq!(world.offers("s1").len(), 1);
}

#[test]
fn tasks_that_break_a_rule_are_errors_and_the_others_run() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.told(session);
    let task = |id: &str, cpus: f64| super::world::task_info("m1-S0", id, cpus);
    world.call(
        &framework,
        json!({"type": "ACCEPT", "accept": {"offer_ids": [offer.id], "operations": [{"type": "LAUNCH", "launch":
            {"task_infos": [task("big", 5.0), task("ok", 3.0), task("ok", 0.5), task("rest", 1.0), task("more", 0.1)]}}]}}),
    );
    let updates = world.updates("s1");
    let shown: Vec<(&str, &str, bool)> = updates
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state().as_str_name(), it.uuid.is_some()))
        .collect();
    let error = "TASK_ERROR";
    assert_eq!(shown, [("big", error, false), ("ok", error, false), ("more", error, false)]);
    let Body::Launch(launch) = world.told(session).remove(0) else { panic!("no launch") };
    let launched: Vec<&str> = launch.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(launched, ["ok", "rest"]);
}

#[test]
fn void_offers_lose_their_tasks() {
    let mut world = World::new();
    let aware = json!({"capabilities": [{"type": "PARTITION_AWARE"}]});
    let framework = world.subscribe("s1", aware).unwrap();
    world.agent(None, vec![], vec![]);
    let mut offer = world.offers("s1").remove(0);
    offer.id.value = "m1-O99".into();
    world.launch(&framework, &offer, "t1", 1.0);
    let update = world.updates("s1").remove(0);
    assert_eq!(update.state().as_str_name(), "TASK_DROPPED");
    assert_eq!(update.reason().as_str_name(), "REASON_INVALID_OFFERS");
}

#[test]
fn a_kill_reaches_the_agent_and_an_unknown_task_is_reconciled() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.told(session);
    world.call(&framework, json!({"type": "KILL", "kill": {"task_id": {"value": "t1"}, "agent_id": {"value": "other"}}}));
    assert!(world.told(session).is_empty());
    world.call(&framework, json!({"type": "KILL", "kill": {"task_id": {"value": "t1"}}}));
    assert!(
        matches!(&world.told(session)[0], Body::Kill(it) if it.task_id.as_ref().unwrap().value == "t1")
    );
    world.call(&framework, json!({"type": "KILL", "kill": {"task_id": {"value": "t9"}}}));
    assert_eq!(world.states("s1"), ["TASK_LOST"]);
}

#[test]
fn killing_is_said_only_to_those_who_understand() {
    for (capabilities, expected) in [(json!([]), 0), (json!([{"type": "TASK_KILLING_STATE"}]), 1)] {
        let mut world = World::new();
        let framework = world.subscribe("s1", json!({"capabilities": capabilities})).unwrap();
        let session = world.agent(None, vec![], vec![]);
        let offer = world.offers("s1").remove(0);
        world.launch(&framework, &offer, "t1", 1.0);
        world.told(session);
        world.status(session, &framework, "t1", "TASK_KILLING");
        assert_eq!(world.updates("s1").len(), expected);
        // Otherwise acknowledged in its name, so that the next update comes.
        assert_eq!(world.told(session).len(), 1 - expected);
    }
}

#[test]
fn suppressed_frameworks_are_left_alone_until_they_revive() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    world.call(&framework, json!({"type": "SUPPRESS"}));
    world.agent(None, vec![], vec![]);
    assert!(world.offers("s1").is_empty());
    world.call(&framework, json!({"type": "REVIVE", "revive": {"roles": ["web"]}}));
    assert!(world.offers("s1").is_empty());
    world.call(&framework, json!({"type": "REVIVE"}));
    assert_eq!(world.offers("s1").len(), 1);
}

#[test]
fn reconciliation_says_what_is_known() {
    let mut world = World::new();
    let aware = json!({"capabilities": [{"type": "PARTITION_AWARE"}]});
    let framework = world.subscribe("s1", aware).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.status(session, &framework, "t1", "TASK_RUNNING");
    world.updates("s1");
    world.call(&framework, json!({"type": "RECONCILE", "reconcile": {}}));
    let update = world.updates("s1").remove(0);
    assert_eq!(update.state().as_str_name(), "TASK_RUNNING");
    assert_eq!(update.reason().as_str_name(), "REASON_RECONCILIATION");
    assert_eq!(update.uuid, None);
    let asked = json!([
        {"task_id": {"value": "t1"}},
        {"task_id": {"value": "t2"}, "agent_id": {"value": "m1-S0"}},
        {"task_id": {"value": "t3"}, "agent_id": {"value": "nobody"}},
        {"task_id": {"value": "t4"}},
    ]);
    world.call(&framework, json!({"type": "RECONCILE", "reconcile": {"tasks": asked}}));
    assert_eq!(world.states("s1"), ["TASK_RUNNING", "TASK_GONE", "TASK_UNKNOWN", "TASK_UNKNOWN"]);
}

#[test]
fn teardown_kills_and_the_id_stays_taken() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.told(session);
    world.call(&framework, json!({"type": "TEARDOWN"}));
    assert!(matches!(&world.told(session)[0], Body::ShutdownFramework(_)));
    assert_eq!(world.closed, ["s1".into()]);
    assert_eq!(world.ledger.completed.len(), 1);
    assert_eq!(world.subscribe("s2", json!({"id": {"value": framework.as_str()}})), None);
    let error = world.events["s2"][0].error.as_ref().unwrap();
    assert_eq!(error.message, "Framework has been removed");
    // Its updates are of no interest any longer.
    world.status(session, &framework, "t1", "TASK_KILLED");
    assert!(matches!(&world.told(session)[0], Body::ShutdownFramework(_)));
}

#[test]
fn only_the_present_stream_may_call() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"failover_timeout": 60})).unwrap();
    let ledger = &world.ledger;
    assert_eq!(ledger.gate(&framework, Some("s1"), None), CallGate::Open);
    assert_eq!(ledger.gate(&framework, Some("s2"), None), CallGate::WrongStreamId);
    assert_eq!(ledger.gate(&framework, None, None), CallGate::NoStreamId);
    assert_eq!(ledger.gate(&"nobody".into(), Some("s1"), None), CallGate::UnknownFramework);
    world.apply(Event::StreamClosed { stream: "s1".into() });
    assert_eq!(world.ledger.gate(&framework, Some("s1"), None), CallGate::Disconnected);
}

#[test]
fn updates_without_an_id_need_no_acknowledgement() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    let update = karman_api::session::StatusUpdate {
        framework_id: Some((&framework).into()),
        status: Some(status("t1", "TASK_FAILED", false)),
        latest: None,
    };
    world.apply(Event::Status { session, update: Box::new(update) });
    assert_eq!(world.states("s1"), ["TASK_FAILED"]);
    assert!(world.ledger.frameworks[&framework].tasks.is_empty());
}
