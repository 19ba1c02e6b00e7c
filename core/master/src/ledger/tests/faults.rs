//! Days on which something goes away and comes back, or does not.

use serde_json::json;

use super::super::*;
use super::world::{World, framework_info, has};

fn running(info: serde_json::Value) -> (World, FrameworkId, SessionId) {
    let mut world = World::new();
    let framework = world.subscribe("s1", info).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.status(session, &framework, "t1", "TASK_RUNNING");
    world.updates("s1");
    world.told(session);
    world.saved.clear();
    (world, framework, session)
}

#[test]
fn who_subscribes_again_wins_and_hears_what_he_missed() {
    let (mut world, framework, session) = running(json!({"failover_timeout": 60}));
    let again =
        json!({"id": {"value": framework.as_str()}, "failover_timeout": 60, "user": "other"});
    assert_eq!(world.subscribe("s2", again), Some(framework.clone()));
    let error = world.events["s1"].last().unwrap().error.clone().unwrap();
    assert_eq!(error.message, "Framework failed over");
    assert_eq!(world.closed, ["s1".into()]);
    // The running update was not acknowledged.
    assert_eq!(world.states("s2"), ["TASK_RUNNING"]);
    assert_eq!(world.ledger.frameworks[&framework].info.user, "u");
    // The end of the old stream is not the end of the framework.
    world.apply(Event::StreamClosed { stream: "s1".into() });
    assert!(world.ledger.frameworks[&framework].is_connected());
    assert!(world.told(session).is_empty());
}

#[test]
fn who_hangs_up_leaves_no_queue_behind() {
    let (mut world, _, session) = running(json!({"failover_timeout": 60}));
    world.apply(Event::SessionClosed { session });
    assert_eq!(world.closed_sessions, [session]);
    world.apply(Event::StreamClosed { stream: "s1".into() });
    assert_eq!(world.closed, ["s1".into()]);
}

#[test]
fn a_framework_that_stays_away_is_removed_at_its_deadline() {
    let (mut world, framework, session) = running(json!({"failover_timeout": 60}));
    world.apply(Event::StreamClosed { stream: "s1".into() });
    assert_eq!(world.saved, [Key::Framework(framework.clone())]);
    world.wait(59_999);
    assert!(world.ledger.frameworks.contains_key(&framework));
    world.wait(1);
    assert!(!world.ledger.frameworks.contains_key(&framework));
    assert!(world.told(session).iter().any(|it| matches!(it, Body::ShutdownFramework(_))));
}

#[test]
fn without_a_failover_timeout_leaving_is_for_ever() {
    let (mut world, framework, session) = running(json!({}));
    world.apply(Event::StreamClosed { stream: "s1".into() });
    assert!(!world.ledger.frameworks.contains_key(&framework));
    assert!(matches!(&world.told(session)[0], Body::ShutdownFramework(_)));
}

#[test]
fn coming_back_stops_the_clock() {
    let (mut world, framework, _) = running(json!({"failover_timeout": 60}));
    world.apply(Event::StreamClosed { stream: "s1".into() });
    world.wait(30_000);
    world
        .subscribe("s2", json!({"id": {"value": framework.as_str()}, "failover_timeout": 60}))
        .unwrap();
    world.wait(100_000);
    assert!(world.ledger.frameworks.contains_key(&framework));
}

#[test]
fn an_agent_that_comes_back_keeps_its_tasks() {
    let (mut world, framework, session) = running(json!({}));
    world.apply(Event::SessionClosed { session });
    world.wait(60_000);
    let session =
        world.agent(Some("m1-S0"), vec![has(&framework, "m1-S0", "t1", "TASK_RUNNING")], vec![]);
    assert!(
        matches!(&world.told(session)[0], Body::Registered(it) if it.agent_id.as_ref().unwrap().value == "m1-S0")
    );
    assert!(world.updates("s1").is_empty());
    world.wait(100_000);
    let task = &world.ledger.frameworks[&framework].tasks["t1"];
    assert_eq!(task.state.as_str_name(), "TASK_RUNNING");
}

#[test]
fn what_an_agent_does_not_bring_back_is_lost() {
    let cases = [
        (json!([]), "TASK_LOST", "TASK_LOST"),
        (json!([{"type": "PARTITION_AWARE"}]), "TASK_DROPPED", "TASK_GONE"),
    ];
    for (capabilities, staging, started) in cases {
        let (mut world, framework, session) = running(json!({"capabilities": capabilities}));
        world.call(&framework, json!({"type": "REVIVE"}));
        let offer = world.offers("s1").remove(0);
        world.launch(&framework, &offer, "t2", 1.0);
        world.apply(Event::SessionClosed { session });
        world.agent(Some("m1-S0"), vec![], vec![]);
        assert_eq!(world.states("s1"), [started, staging]);
        assert!(world.ledger.frameworks[&framework].tasks.is_empty());
    }
}

#[test]
fn an_agent_that_does_not_answer_is_unreachable_and_may_return() {
    let (mut world, framework, session) =
        running(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    for _ in 0..5 {
        world.wait(15_000);
    }
    assert_eq!(world.told(session).len(), 5);
    assert!(world.updates("s1").is_empty());
    world.wait(15_000);
    assert_eq!(world.closed_sessions, [session]);
    let update = world.updates("s1").remove(0);
    assert_eq!(update.state().as_str_name(), "TASK_UNREACHABLE");
    assert!(update.unreachable_time.is_some());
    assert!(world.events["s1"].iter().any(|event| event.failure.is_some()));
    world.call(&framework, json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "t1"}}, {"task_id": {"value": "t7"}, "agent_id": {"value": "m1-S0"}}]}}));
    assert_eq!(world.states("s1"), ["TASK_UNREACHABLE", "TASK_UNREACHABLE"]);

    world.agent(Some("m1-S0"), vec![has(&framework, "m1-S0", "t1", "TASK_RUNNING")], vec![]);
    let update = world.updates("s1").remove(0);
    assert_eq!(update.state().as_str_name(), "TASK_RUNNING");
    assert_eq!(update.reason().as_str_name(), "REASON_AGENT_REREGISTERED");
    assert_eq!(world.ledger.frameworks[&framework].tasks.len(), 1);
}

#[test]
fn answered_pings_keep_an_agent() {
    let (mut world, _, session) = running(json!({}));
    for _ in 0..20 {
        world.wait(15_000);
        world.apply(Event::Pong { session });
    }
    assert!(world.closed_sessions.is_empty());
}

#[test]
fn a_kill_is_repeated_to_an_agent_that_was_away() {
    let (mut world, framework, session) = running(json!({}));
    world.apply(Event::SessionClosed { session });
    world.call(&framework, json!({"type": "KILL", "kill": {"task_id": {"value": "t1"}}}));
    let session =
        world.agent(Some("m1-S0"), vec![has(&framework, "m1-S0", "t1", "TASK_RUNNING")], vec![]);
    assert!(
        matches!(&world.told(session)[2], Body::Kill(it) if it.task_id.as_ref().unwrap().value == "t1")
    );
}

#[test]
fn a_bad_registration_is_refused_with_a_reason() {
    let mut world = World::new();
    let session = world.agent(Some("a/b"), vec![], vec![]);
    let told = world.told(session);
    let Body::Rejected(rejected) = &told[0] else { panic!("not refused") };
    assert_eq!(rejected.reason, "the id of the agent must not contain the character '/'");
    assert_eq!(world.closed_sessions, [session]);
}

#[test]
fn after_a_restart_tasks_come_back_with_their_agents() {
    let (old, framework, _) = running(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    let mut world = old.restart();
    assert!(world.ledger.awaits_agents());
    let again =
        json!({"id": {"value": framework.as_str()}, "capabilities": [{"type": "PARTITION_AWARE"}]});
    assert_eq!(world.subscribe("s2", again), Some(framework.clone()));
    // Nobody can know yet, except of agents that nobody ever heard of.
    world.call(
        &framework,
        json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "t1"}},
        {"task_id": {"value": "t1"}, "agent_id": {"value": "m1-S0"}},
        {"task_id": {"value": "t9"}, "agent_id": {"value": "nobody"}}]}}),
    );
    assert_eq!(world.states("s2"), ["TASK_UNKNOWN"]);

    let session =
        world.agent(Some("m1-S0"), vec![has(&framework, "m1-S0", "t1", "TASK_RUNNING")], vec![]);
    assert!(matches!(&world.told(session)[0], Body::Registered(it) if it.master_id == "m2"));
    assert!(!world.ledger.awaits_agents());
    world.call(&framework, json!({"type": "RECONCILE", "reconcile": {}}));
    assert_eq!(world.states("s2"), ["TASK_RUNNING"]);
    // Three processors are left, and new ids are new.
    let offer = world.offers("s2").remove(0);
    assert_eq!(offer.id.value, "m2-O1");
    world.agent(None, vec![], vec![]);
    assert!(world.ledger.agents.contains_key("m2-S0"));
}

#[test]
fn deadlines_survive_a_restart() {
    let (mut old, framework, _) = running(json!({"failover_timeout": 100}));
    old.apply(Event::StreamClosed { stream: "s1".into() });
    old.wait(40_000);
    let mut world = old.restart();
    world.wait(59_999);
    assert!(world.ledger.frameworks.contains_key(&framework));
    world.wait(1);
    assert!(!world.ledger.frameworks.contains_key(&framework));
    // Its tasks are killed when their agent comes.
    let session =
        world.agent(Some("m1-S0"), vec![has(&framework, "m1-S0", "t1", "TASK_RUNNING")], vec![]);
    assert!(matches!(&world.told(session)[2], Body::ShutdownFramework(_)));
}

#[test]
fn a_framework_that_did_not_leave_gets_time_to_return() {
    let (old, framework, _) = running(json!({}));
    let mut world = old.restart();
    world.wait(59_000);
    world.subscribe("s2", json!({"id": {"value": framework.as_str()}})).unwrap();
    world.wait(10_000);
    assert!(world.ledger.frameworks.contains_key(&framework));
}

#[test]
fn a_removed_framework_stays_removed_after_a_restart() {
    let (mut old, framework, _) = running(json!({}));
    old.call(&framework, json!({"type": "TEARDOWN"}));
    let mut world = old.restart();
    assert_eq!(world.subscribe("s2", json!({"id": {"value": framework.as_str()}})), None);
}

#[test]
fn an_agent_can_bring_a_framework_that_nobody_stored() {
    let mut world = World::new();
    let framework = FrameworkId::from("m0-0000");
    let tasks = vec![has(&framework, "m0-S0", "t1", "TASK_RUNNING")];
    world.agent(Some("m0-S0"), tasks, vec![framework_info(&framework)]);
    assert!(matches!(world.ledger.frameworks[&framework].link, Link::Recovered { .. }));
    assert_eq!(world.subscribe("s1", json!({"id": {"value": "m0-0000"}})), Some(framework.clone()));
    assert_eq!(world.ledger.frameworks[&framework].tasks.len(), 1);
}

#[test]
fn what_an_unreachable_agent_does_not_bring_back_is_gone() {
    let aware = json!({"capabilities": [{"type": "PARTITION_AWARE"}]});
    for (info, states) in
        [(aware, vec!["TASK_UNREACHABLE", "TASK_GONE"]), (json!({}), vec!["TASK_LOST"])]
    {
        let (mut world, framework, session) = running(info);
        world.apply(Event::SessionClosed { session });
        world.wait(75_000);
        world.agent(Some("m1-S0"), vec![], vec![]);
        assert_eq!(world.states("s1"), states);
        assert!(world.ledger.frameworks[&framework].unreachable.is_empty());
        // What is asked afterwards agrees.
        world.call(&framework, json!({"type": "RECONCILE", "reconcile": {}}));
        assert!(world.states("s1").is_empty());
    }
}

#[test]
fn a_name_that_is_taken_stays_with_whom_has_it() {
    let (mut world, framework, session) = running(json!({}));
    let copy = has(&framework, "m1-S1", "t1", "TASK_RUNNING");
    let other = world.agent(Some("m1-S1"), vec![copy], vec![]);
    assert!(world.told(other).iter().any(|it| matches!(it, Body::Kill(_))));
    // The end of the copy is not the end of the task, and is heard all the same.
    world.status(other, &framework, "t1", "TASK_KILLED");
    assert!(world.states("s1").is_empty());
    assert!(matches!(&world.told(other)[0], Body::Acknowledge(_)));
    let task = &world.ledger.frameworks[&framework].tasks["t1"];
    assert_eq!(task.agent.as_str(), "m1-S0");
    world.status(session, &framework, "t1", "TASK_FINISHED");
    assert_eq!(world.states("s1"), ["TASK_FINISHED"]);
}

#[test]
fn a_kill_is_said_again_to_an_agent_that_has_said_nothing_of_the_task() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.apply(Event::SessionClosed { session });
    world.call(&framework, json!({"type": "KILL", "kill": {"task_id": {"value": "t1"}}}));
    let mut staged = has(&framework, "m1-S0", "t1", "TASK_STAGING");
    (staged.status, staged.latest) = (None, None);
    let session = world.agent(Some("m1-S0"), vec![staged], vec![]);
    assert!(world.told(session).iter().any(|it| matches!(it, Body::Kill(_))));
}

#[test]
fn the_time_of_a_framework_does_not_begin_anew_with_every_master() {
    let (old, framework, _) = running(json!({"failover_timeout": 1000}));
    let mut second = old.restart();
    assert_eq!(second.ledger.next_deadline(), Some(Timestamp(0)), "it is to be stored at once");
    second.wait(1);
    assert_eq!(second.saved, [Key::Framework(framework.clone())]);
    second.wait(600_000);
    let mut third = second.restart();
    third.wait(399_000);
    assert_eq!(third.saved, [], "it is stored already");
    assert!(third.ledger.frameworks.contains_key(&framework));
    third.wait(1000);
    assert!(!third.ledger.frameworks.contains_key(&framework));
}

#[test]
fn a_late_master_gives_time_to_return_once_more() {
    let (old, framework, _) = running(json!({"failover_timeout": 100}));
    let mut second = old.restart();
    second.wait(1);
    second.now = Timestamp(second.now.0 + 1_000_000);
    let mut third = second.restart();
    third.wait(59_999);
    assert!(third.ledger.frameworks.contains_key(&framework));
    third.wait(1);
    assert!(!third.ledger.frameworks.contains_key(&framework));
}

#[test]
fn time_does_not_run_backwards() {
    let (mut world, framework, _) = running(json!({"failover_timeout": 100}));
    world.apply(Event::StreamClosed { stream: "s1".into() });
    let left = world.now;
    world.now = Timestamp(1000);
    world.wait(1);
    let session = world.agent(Some("a2"), vec![], vec![]);
    assert_eq!(world.ledger.agents["a2"].registered, left, "it stands still");
    assert!(world.told(session).iter().all(|it| !matches!(it, Body::Ping(_))));
    // The clock has caught up.
    world.now = left;
    world.wait(99_999);
    assert!(world.ledger.frameworks.contains_key(&framework));
    world.wait(1);
    assert!(!world.ledger.frameworks.contains_key(&framework));
}

#[test]
fn a_clock_that_was_set_back_between_two_masters_delays_nothing_for_long() {
    let (mut old, framework, _) = running(json!({"failover_timeout": 100}));
    old.apply(Event::StreamClosed { stream: "s1".into() });
    old.now = Timestamp(1000);
    let mut world = old.restart();
    world.wait(99_999);
    assert!(world.ledger.frameworks.contains_key(&framework));
    world.wait(1);
    assert!(!world.ledger.frameworks.contains_key(&framework), "no longer than its timeout");
}
