//! Agents that are missed, removed, forgotten; machines that go down.

use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::Schedule;
use serde_json::{Value, json};

use super::super::*;
use super::world::{World, has, register};

fn aware() -> Value {
    json!({"failover_timeout": 1_000_000, "capabilities": [{"type": "PARTITION_AWARE"}]})
}

fn id(agent: usize) -> String {
    format!("a{agent}")
}

fn unreachable(world: &World) -> Vec<&str> {
    let agents = world.ledger.agents.values();
    agents
        .filter(|it| matches!(it.presence, Presence::Unreachable { .. }))
        .map(|it| it.id.as_str())
        .collect()
}

fn limited(rate: &str) -> Settings {
    Settings { agent_removal_rate: Some(rate.parse().unwrap()), ..Settings::default() }
}

#[test]
fn agents_are_given_up_no_faster_than_allowed() {
    let mut world = World::with("m1", Timestamp(1_000_000), limited("2/1mins"));
    let sessions: Vec<SessionId> =
        (0..4).map(|it| world.agent(Some(&id(it)), vec![], vec![])).collect();
    for session in &sessions {
        world.apply(Event::SessionClosed { session: *session });
    }
    world.wait(75_000);
    assert_eq!(unreachable(&world), ["a0"]);
    // Who returns in time loses nothing, and the next one takes its turn.
    world.agent(Some("a1"), vec![], vec![]);
    world.wait(29_999);
    assert_eq!(unreachable(&world), ["a0"]);
    world.wait(1);
    assert_eq!(unreachable(&world), ["a0", "a2"]);
    world.wait(30_000);
    assert_eq!(unreachable(&world), ["a0", "a2", "a3"]);
}

#[test]
fn silent_agents_wait_for_their_turn_and_may_still_answer() {
    let mut world = World::with("m1", Timestamp(1_000_000), limited("1/10mins"));
    let first = world.agent(Some("a1"), vec![], vec![]);
    let second = world.agent(Some("a2"), vec![], vec![]);
    for _ in 0..6 {
        world.wait(15_000);
    }
    assert_eq!(unreachable(&world), ["a1"]);
    assert_eq!(world.closed_sessions, [first]);
    world.apply(Event::Pong { session: second });
    for _ in 0..100 {
        world.wait(15_000);
        world.apply(Event::Pong { session: second });
    }
    assert_eq!(unreachable(&world), ["a1"]);
}

#[test]
fn the_rate_holds_for_agents_that_a_new_master_waits_for() {
    let mut old = World::with("m1", Timestamp(1_000_000), limited("1/1mins"));
    for agent in 0..3 {
        old.agent(Some(&id(agent)), vec![], vec![]);
    }
    let mut world = old.restart();
    world.wait(599_999);
    assert!(unreachable(&world).is_empty());
    world.wait(1);
    assert_eq!(unreachable(&world).len(), 1);
    world.wait(60_000);
    assert_eq!(unreachable(&world).len(), 2);
}

#[test]
fn agents_nobody_heard_of_for_weeks_are_forgotten() {
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    let task = has(&framework, "a1", "t1", "TASK_RUNNING");
    let session = world.agent(Some("a1"), vec![task], vec![]);
    world.apply(Event::SessionClosed { session });
    world.wait(75_000);
    let mut world = world.restart();
    assert_eq!(unreachable(&world), ["a1"]);
    let mut info = aware();
    info["id"] = json!({"value": framework.as_str()});
    world.subscribe("s2", info).unwrap();
    let day = 24 * 3600 * 1000;
    for _ in 0..13 {
        world.wait(day);
    }
    assert_eq!(unreachable(&world), ["a1"]);
    world.wait(day);
    world.wait(day);
    assert!(world.ledger.agents.is_empty());
    assert!(!world.store.contains_key("/master/agents/a1"));
}

#[test]
fn a_removed_agent_is_gone_for_ever() {
    for (info, state) in
        [(aware(), "TASK_GONE_BY_OPERATOR"), (json!({"failover_timeout": 1000}), "TASK_LOST")]
    {
        let mut world = World::new();
        let framework = world.subscribe("s1", info).unwrap();
        let task = has(&framework, "a1", "t1", "TASK_RUNNING");
        let session = world.agent(Some("a1"), vec![task.clone()], vec![]);
        world.updates("s1");
        world.told(session);
        let gone = || Command::MarkGone { agent: "a1".into() };
        world.command(gone()).unwrap();
        let update = world.updates("s1").remove(0);
        assert_eq!(update.state().as_str_name(), state);
        assert_eq!(update.reason().as_str_name(), "REASON_AGENT_REMOVED_BY_OPERATOR");
        assert!(world.events["s1"].iter().any(|event| event.failure.is_some()));
        assert!(matches!(world.told(session)[0], Body::Shutdown(_)));
        assert_eq!(world.closed_sessions, [session]);
        world.command(gone()).unwrap();

        let mut world = world.restart();
        let session = world.agent(Some("a1"), vec![task], vec![]);
        assert!(matches!(&world.told(session)[0], Body::Shutdown(it) if it.reason.contains("a1")));
        assert_eq!(world.closed_sessions, [session]);
        assert!(world.ledger.agents.is_empty());
        let mut info = aware();
        info["id"] = json!({"value": framework.as_str()});
        world.subscribe("s2", info).unwrap();
        world.call(
            &framework,
            json!({"type": "RECONCILE", "reconcile": {"tasks": [
            {"task_id": {"value": "t1"}, "agent_id": {"value": "a1"}}]}}),
        );
        assert_eq!(world.states("s2"), ["TASK_GONE_BY_OPERATOR"]);
    }
}

#[test]
fn an_unreachable_agent_can_be_given_up_for_good() {
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    let task = has(&framework, "a1", "t1", "TASK_RUNNING");
    let session = world.agent(Some("a1"), vec![task], vec![]);
    world.apply(Event::SessionClosed { session });
    world.wait(75_000);
    assert_eq!(world.states("s1"), ["TASK_UNREACHABLE"]);
    world.command(Command::MarkGone { agent: "a1".into() }).unwrap();
    assert_eq!(world.states("s1"), ["TASK_GONE_BY_OPERATOR"]);
    assert!(world.ledger.frameworks[&framework].unreachable.is_empty());
}

#[test]
fn offers_wait_for_most_agents_where_roles_have_quotas() {
    let mut old = World::new();
    let framework = old.subscribe("s1", aware()).unwrap();
    for agent in 0..5 {
        old.agent(Some(&id(agent)), vec![], vec![]);
    }
    let config = json!({"role": "eng", "guarantees": {"cpus": {"value": 1}}});
    let configs = vec![serde_json::from_value(config).unwrap()];
    old.command(Command::UpdateQuota { force: false, configs }).unwrap();
    let again = || {
        let mut world = old.restart();
        let mut info = aware();
        info["id"] = json!({"value": framework.as_str()});
        world.subscribe("s2", info).unwrap();
        world
    };
    let mut world = again();
    for agent in 0..3 {
        world.agent(Some(&id(agent)), vec![], vec![]);
    }
    assert!(world.offers("s2").is_empty());
    world.agent(Some("a3"), vec![], vec![]);
    assert!(!world.offers("s2").is_empty());

    let mut world = again();
    world.agent(Some("a0"), vec![], vec![]);
    world.wait(599_999);
    assert!(world.offers("s2").is_empty());
    world.wait(1);
    assert!(!world.offers("s2").is_empty());
}

fn schedule(machines: &[Value], start: i64) -> Command {
    let schedule: Schedule = serde_json::from_value(json!({"windows": [{
        "machine_ids": machines,
        "unavailability": {"start": {"nanoseconds": start}, "duration": {"nanoseconds": 5}},
    }]}))
    .unwrap();
    Command::UpdateSchedule { schedule }
}

fn machines(machines: &[Value]) -> Vec<v1::MachineId> {
    machines.iter().map(|it| serde_json::from_value(it.clone()).unwrap()).collect()
}

#[test]
fn machines_drain_go_down_and_come_up() {
    let host = [json!({"hostname": "HOST"})];
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    let task = has(&framework, "a1", "t1", "TASK_RUNNING");
    let session = world.agent(Some("a1"), vec![task], vec![]);
    let before = world.offers("s1").remove(0);
    assert_eq!(before.unavailability, None);

    world.command(schedule(&host, 77)).unwrap();
    assert!(world.events["s1"].iter().any(|it| it.rescind.is_some()));
    let offer = world.offers("s1").remove(0);
    assert_eq!(offer.unavailability.unwrap().start.nanoseconds, 77);
    let refusal = world.command(Command::StopMaintenance { machines: machines(&host) });
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "Machine 'host' is not in DOWN mode and cannot be brought up"
    );
    world.updates("s1");
    world.told(session);
    world.command(Command::StartMaintenance { machines: machines(&host) }).unwrap();
    assert_eq!(world.states("s1"), ["TASK_GONE"]);
    assert!(matches!(world.told(session)[0], Body::Shutdown(_)));
    let refusal = world.command(schedule(&[json!({"hostname": "other"})], 1)).unwrap_err();
    assert!(refusal.to_string().contains("is deactivated and cannot be removed"));

    let mut world = world.restart();
    let status = world.ledger.view().maintenance_status();
    assert_eq!(status.down_machines, machines(&[json!({"hostname": "host"})]));
    assert!(status.draining_machines.is_empty());
    let session = world.agent(None, vec![], vec![]);
    assert!(
        matches!(&world.told(session)[0], Body::Rejected(it) if it.reason.contains("down") && it.passes)
    );
    world.command(Command::StopMaintenance { machines: machines(&host) }).unwrap();
    assert!(world.ledger.registry.maintenance.schedule.windows.is_empty());
    let session = world.agent(None, vec![], vec![]);
    assert!(matches!(world.told(session)[0], Body::Registered(_)));
}

#[test]
fn schedules_that_cannot_be_meant_are_refused() {
    let host = json!({"hostname": "a"});
    for (machines, expected) in [
        (vec![], "List of machines in the maintenance window is empty"),
        (vec![json!({})], "a machine needs a hostname or an ip"),
        (vec![json!({"ip": "x"})], "ip 'x' of a machine must be an IP address"),
        (vec![host.clone(), host.clone()], "Machine 'a' appears more than once in the schedule"),
        (
            vec![json!({"hostname": "a", "ip": "10.0.0.1"}), host.clone()],
            "Machines 'a (10.0.0.1)' and 'a' of the schedule may be the same",
        ),
        (
            vec![json!({"hostname": "a", "ip": "10.0.0.1"}), json!({"ip": "10.0.0.1"})],
            "Machines 'a (10.0.0.1)' and '10.0.0.1' of the schedule may be the same",
        ),
        (
            vec![host.clone(), json!({"hostname": "a", "ip": "10.0.0.1"})],
            "Machines 'a' and 'a (10.0.0.1)' of the schedule may be the same",
        ),
    ] {
        let refusal = World::new().command(schedule(&machines, 1)).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
    let mut world = World::new();
    world.command(schedule(std::slice::from_ref(&host), 1)).unwrap();
    for (machine, expected) in [
        (vec![], "List of machines is empty"),
        (vec![json!({"hostname": "b"})], "Machine 'b' is not part of a maintenance schedule"),
        (vec![host.clone(), host.clone()], "Machine 'a' appears more than once in the list"),
    ] {
        let command = Command::StartMaintenance { machines: machines(&machine) };
        assert_eq!(world.command(command).unwrap_err().to_string(), expected);
    }
    let mut negative = schedule(&[host], 1);
    if let Command::UpdateSchedule { schedule } = &mut negative {
        schedule.windows[0].unavailability.duration = Some(v1::DurationInfo { nanoseconds: -1 });
    }
    assert!(matches!(world.command(negative), Err(Refusal::Invalid(_))));
}

fn inverse(world: &mut World, stream: &str) -> Vec<v1::InverseOffer> {
    let events = world.events.get_mut(stream).map(std::mem::take).unwrap_or_default();
    let (inverse, others) = events.into_iter().partition(|it| it.inverse_offers.is_some());
    world.events.insert(stream.into(), others);
    let inverse: Vec<v1::scheduler::Event> = inverse;
    inverse.into_iter().flat_map(|it| it.inverse_offers.unwrap().inverse_offers).collect()
}

#[test]
fn frameworks_are_asked_to_leave_and_their_answers_are_kept() {
    let host = [json!({"hostname": "host"})];
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    world.agent(Some("a1"), vec![has(&framework, "a1", "t1", "TASK_RUNNING")], vec![]);
    world.command(schedule(&host, 77)).unwrap();
    let asked = inverse(&mut world, "s1");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].agent_id.as_ref().unwrap().value, "a1");
    assert_eq!(asked[0].unavailability.start.nanoseconds, 77);
    assert!(asked[0].resources.is_empty());
    world.wait(100_000);
    assert!(inverse(&mut world, "s1").is_empty(), "one question at a time");

    let answer = |kind: &str, field: &str, asked: &v1::InverseOffer| {
        let ids = json!([asked.id, {"value": "nonsense"}]);
        let body = json!({"inverse_offer_ids": ids, "filters": {"refuse_seconds": 60}});
        json!({"type": kind, field: body})
    };
    let decline = answer("DECLINE_INVERSE_OFFERS", "decline_inverse_offers", &asked[0]);
    world.call(&framework, decline);
    let statuses = |world: &World| {
        let status = world.ledger.view().maintenance_status();
        let statuses = status.draining_machines[0].statuses.clone();
        statuses.iter().map(|it| it.status().as_str_name()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&world), ["DECLINE"]);
    world.wait(59_999);
    assert!(inverse(&mut world, "s1").is_empty());
    world.wait(1);
    let asked = inverse(&mut world, "s1");
    world.call(&framework, answer("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers", &asked[0]));
    assert_eq!(statuses(&world), ["ACCEPT"]);
    assert!(inverse(&mut world, "s1").is_empty());
    world.call(&framework, json!({"type": "REVIVE"}));
    assert_eq!(inverse(&mut world, "s1").len(), 1, "the filter is cleared");

    // Another plan is another question.
    world.command(schedule(&host, 99)).unwrap();
    assert!(world.events["s1"].iter().any(|it| it.rescind_inverse_offer.is_some()));
    assert_eq!(inverse(&mut world, "s1")[0].unavailability.start.nanoseconds, 99);
    assert!(statuses(&world).is_empty());
    world.command(Command::UpdateSchedule { schedule: Schedule::default() }).unwrap();
    assert!(world.ledger.registry.inverse.offers.is_empty());
    assert!(inverse(&mut world, "s1").is_empty());
}

#[test]
fn who_comes_back_is_asked_again() {
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    let task = has(&framework, "a1", "t1", "TASK_RUNNING");
    let session = world.agent(Some("a1"), vec![task.clone()], vec![]);
    world.command(schedule(&[json!({"ip": "127.0.0.1"})], 5)).unwrap();
    assert_eq!(inverse(&mut world, "s1").len(), 1);
    let mut info = aware();
    info["id"] = json!({"value": framework.as_str()});
    world.subscribe("s2", info).unwrap();
    assert_eq!(inverse(&mut world, "s2").len(), 1);
    world.apply(Event::SessionClosed { session });
    assert!(world.events["s2"].iter().any(|it| it.rescind_inverse_offer.is_some()));
    world.register(register(Some("a1"), "host", vec![task], vec![]));
    assert_eq!(inverse(&mut world, "s2").len(), 1);
}

#[test]
fn a_question_whose_answer_is_lost_is_asked_anew() {
    let mut world = World::new();
    let framework = world.subscribe("s1", aware()).unwrap();
    let session =
        world.agent(Some("a1"), vec![has(&framework, "a1", "t1", "TASK_RUNNING")], vec![]);
    world.command(schedule(&[json!({"hostname": "host"})], 77)).unwrap();
    let first = inverse(&mut world, "s1").remove(0);
    // It answers its pings.
    for _ in 0..4 {
        world.wait(30_000);
        world.apply(Event::Pong { session });
    }
    let rescinded: Vec<_> =
        world.events["s1"].iter().filter_map(|it| it.rescind_inverse_offer.clone()).collect();
    assert_eq!(rescinded.len(), 1);
    assert_eq!(rescinded[0].inverse_offer_id, first.id);
    let second = inverse(&mut world, "s1");
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].id, first.id);
}
