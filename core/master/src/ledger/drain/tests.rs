use karman_api::session::master_message::Body;
use karman_model::id::FrameworkId;
use serde_json::{Value, json};

use super::super::tests::world::{World, has, register};
use super::super::{Command, Event, SessionId};
use super::*;

const AGENT: &str = "m1-S0";

fn aware() -> Value {
    json!({"failover_timeout": 1000, "capabilities": [{"type": "PARTITION_AWARE"}]})
}

/// An agent with one running task.
fn running(info: Value) -> (World, FrameworkId, SessionId) {
    let mut world = World::new();
    let framework = world.subscribe("s1", info).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    world.status(session, &framework, "t1", "TASK_RUNNING");
    world.acknowledge(&framework, AGENT, "t1", "TASK_RUNNING");
    world.updates("s1");
    world.told(session);
    (world, framework, session)
}

fn drain(mark_gone: bool) -> Command {
    Command::Drain { agent: AGENT.into(), max_grace: Some(Duration::from_secs(5)), mark_gone }
}

fn state(world: &World) -> Option<bool> {
    world.ledger.agents.get(AGENT).and_then(|it| it.standing.drain).map(|it| it.drained)
}

fn drains(messages: &[Body]) -> Vec<Option<i64>> {
    let drain = |body: &Body| match body {
        Body::Drain(it) => Some(it.config.map(|it| it.max_grace_period.unwrap().nanoseconds)),
        _other => None,
    };
    messages.iter().filter_map(drain).collect()
}

#[test]
fn a_drained_agent_has_nothing_left_and_comes_back_when_it_is_told() {
    let (mut world, framework, session) = running(aware());
    assert!(!world.ledger.agents[AGENT].offers.is_empty() || world.offers("s1").is_empty());
    world.command(drain(false)).unwrap();
    assert_eq!(drains(&world.told(session)), [Some(5_000_000_000)]);
    assert_eq!(state(&world), Some(false));
    assert!(world.ledger.agents[AGENT].offers.is_empty());
    let reactivate = || Command::Reactivate { agent: AGENT.into() };
    let refusal = world.command(reactivate()).unwrap_err().to_string();
    assert_eq!(refusal, "Agent m1-S0 is still in the DRAINING state");

    world.status(session, &framework, "t1", "TASK_KILLED");
    assert_eq!(state(&world), Some(false), "the end is not acknowledged");
    world.saved.clear();
    world.acknowledge(&framework, AGENT, "t1", "TASK_KILLED");
    assert_eq!(state(&world), Some(true));
    assert_eq!(world.saved, [Key::Agent(AGENT.into())]);
    world.events.clear();
    world.wait(60_000);
    assert!(world.offers("s1").is_empty(), "it is not in use");

    world.told(session);
    world.command(reactivate()).unwrap();
    assert_eq!(drains(&world.told(session)), [None]);
    assert_eq!(world.offers("s1").len(), 1);
    let refusal = world.command(reactivate()).unwrap_err().to_string();
    assert_eq!(refusal, "Agent m1-S0 is not deactivated");
}

#[test]
fn an_idle_agent_is_drained_at_once_and_gone_if_wanted() {
    let mut world = World::new();
    let session = world.agent(None, vec![], vec![]);
    world.command(drain(false)).unwrap();
    assert_eq!(state(&world), Some(true));
    world.command(drain(true)).unwrap();
    assert!(world.told(session).iter().any(|it| matches!(it, Body::Shutdown(_))));
    assert!(!world.ledger.agents.contains_key(AGENT));
    assert!(world.ledger.registry.gone.contains_key(AGENT));
}

#[test]
fn a_drain_survives_the_master_and_a_late_agent_hears_of_it() {
    let (mut old, framework, _) = running(aware());
    old.command(drain(true)).unwrap();
    let mut world = old.restart();
    assert_eq!(world.ledger.agents[AGENT].standing, old.ledger.agents[AGENT].standing);
    let mut info = aware();
    info["id"] = json!({"value": framework.as_str()});
    world.subscribe("s2", info).unwrap();
    world.wait(1000);
    assert_eq!(state(&world), Some(false), "an agent that is not back may have tasks");
    let task = has(&framework, AGENT, "t1", "TASK_RUNNING");
    let session = world.agent(Some(AGENT), vec![task], vec![]);
    assert_eq!(drains(&world.told(session)), [Some(5_000_000_000)]);
    world.status(session, &framework, "t1", "TASK_GONE_BY_OPERATOR");
    assert_eq!(world.states("s2"), ["TASK_GONE_BY_OPERATOR"]);
    world.acknowledge(&framework, AGENT, "t1", "TASK_GONE_BY_OPERATOR");
    assert!(world.ledger.registry.gone.contains_key(AGENT));
    assert!(world.ledger.frameworks[&framework].tasks.is_empty());
    let told = world.told(session);
    assert!(matches!(told[0], Body::Acknowledge(_)), "the last word but one");
    assert!(matches!(told[1], Body::Shutdown(_)));
}

#[test]
fn an_agent_that_was_away_hears_that_it_may_work_again() {
    let (mut world, framework, session) = running(aware());
    world.status(session, &framework, "t1", "TASK_FINISHED");
    world.acknowledge(&framework, AGENT, "t1", "TASK_FINISHED");
    world.command(drain(false)).unwrap();
    world.apply(Event::SessionClosed { session });
    world.command(Command::Reactivate { agent: AGENT.into() }).unwrap();
    let mut back = register(Some(AGENT), "host", vec![], vec![]);
    back.drain = Some(v1::DrainConfig::default());
    let session = world.register(back);
    assert_eq!(drains(&world.told(session)), [None]);
}

#[test]
fn a_deactivated_agent_keeps_its_tasks_and_is_not_offered_even_when_it_returns() {
    let (mut world, framework, session) = running(aware());
    world.command(Command::Deactivate { agent: AGENT.into() }).unwrap();
    world.command(Command::Deactivate { agent: AGENT.into() }).unwrap();
    assert!(drains(&world.told(session)).is_empty());
    world.apply(Event::SessionClosed { session });
    let mut world = world.restart();
    let mut info = aware();
    info["id"] = json!({"value": framework.as_str()});
    world.subscribe("s2", info).unwrap();
    world.agent(Some(AGENT), vec![has(&framework, AGENT, "t1", "TASK_RUNNING")], vec![]);
    assert!(world.offers("s2").is_empty());
    world.command(Command::Reactivate { agent: AGENT.into() }).unwrap();
    assert_eq!(world.offers("s2").len(), 1);
    assert_eq!(world.ledger.frameworks[&framework].tasks.len(), 1);
}

#[test]
fn nobody_is_drained_who_is_not_known() {
    let mut world = World::new();
    for command in [
        drain(false),
        Command::Deactivate { agent: AGENT.into() },
        Command::Reactivate { agent: AGENT.into() },
        Command::MarkGone { agent: AGENT.into() },
    ] {
        assert_eq!(world.command(command), Err(Refusal::NotFound("Unknown agent".into())));
    }
}

#[test]
fn an_agent_is_not_drained_before_the_outcomes_on_it_are_acknowledged() {
    use super::super::tests::operations::{amount, reserve, start, with_id};
    let (mut world, framework, _, offer) = start();
    let operation = with_id(reserve(&[amount("cpus", 2.0, &["eng"])]), "r1");
    world.accept(&framework, &[offer], json!([operation]));
    world.command(drain(true)).unwrap();
    assert_eq!(state(&world), Some(false));
    let status = world.operations("s1").remove(0);
    let mut call: v1::scheduler::Call =
        serde_json::from_value(json!({"type": "ACKNOWLEDGE_OPERATION_STATUS"})).unwrap();
    call.acknowledge_operation_status = Some(v1::scheduler::call::AcknowledgeOperationStatus {
        operation_id: status.operation_id.unwrap(),
        agent_id: status.agent_id,
        uuid: status.uuid.unwrap().value,
        resource_provider_id: None,
    });
    world.apply(Event::Call { framework: framework.clone(), call: Box::new(call) });
    assert!(world.ledger.registry.gone.contains_key(AGENT));
}

#[test]
fn who_is_removed_waits_for_no_outcome() {
    use super::super::tests::operations::{amount, reserve, start, with_id};
    let (mut world, framework, _, offer) = start();
    let operation = with_id(reserve(&[amount("cpus", 2.0, &["eng"])]), "r1");
    world.accept(&framework, &[offer], json!([operation]));
    world.command(drain(false)).unwrap();
    world.call(&framework, json!({"type": "TEARDOWN"}));
    assert_eq!(state(&world), Some(true));
}

#[test]
fn an_agent_that_cannot_be_reached_drains_when_it_is_back() {
    let (mut world, framework, session) = running(aware());
    world.command(drain(false)).unwrap();
    world.apply(Event::SessionClosed { session });
    world.wait(75_000);
    assert_eq!(world.states("s1"), ["TASK_UNREACHABLE"]);
    assert_eq!(state(&world), Some(false), "its task may still run");
    assert!(world.command(Command::Reactivate { agent: AGENT.into() }).is_err());
    let task = has(&framework, AGENT, "t1", "TASK_RUNNING");
    let session = world.agent(Some(AGENT), vec![task], vec![]);
    assert_eq!(drains(&world.told(session)), [Some(5_000_000_000)]);
    world.status(session, &framework, "t1", "TASK_KILLED");
    world.acknowledge(&framework, AGENT, "t1", "TASK_KILLED");
    assert_eq!(state(&world), Some(true));
}

#[test]
fn a_drain_that_nobody_ordered_is_ended() {
    let mut world = World::new();
    let mut back = register(Some("a9"), "host", vec![], vec![]);
    back.drain = Some(v1::DrainConfig::default());
    let session = world.register(back);
    assert_eq!(drains(&world.told(session)), [None]);
}
