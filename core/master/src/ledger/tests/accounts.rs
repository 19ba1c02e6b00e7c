//! What counts against quota: one account, whoever asks.

use serde_json::{Value, json};

use super::super::*;
use super::groups::{executor, launch_with};
use super::operations::{RESOURCES, amount, launch, reserve, start};
use super::world::{World, has};

fn limit(world: &mut World, role: &str, cpus: f64, force: bool) -> Result<(), Refusal> {
    let config = json!({"role": role, "limits": {"cpus": {"value": cpus}}});
    let configs = vec![serde_json::from_value(config).unwrap()];
    world.command(Command::UpdateQuota { force, configs })
}

fn operate(world: &mut World, agent: &str, operation: Value) -> Result<(), Refusal> {
    world.command(Command::Operate {
        agent: agent.into(),
        principal: None,
        operation: Box::new(serde_json::from_value(operation).unwrap()),
    })
}

fn consumed(world: &World, role: &str) -> String {
    let amounts = world.ledger.consumed(role);
    amounts.iter().map(|(name, amount)| format!("{name}:{amount} ")).collect()
}

fn rescinded(world: &World, stream: &str) -> usize {
    world.events[stream].iter().filter(|event| event.rescind.is_some()).count()
}

#[test]
fn executors_count_as_tasks_do() {
    let (mut world, framework, session, offer) = start();
    let operations = json!([launch_with("t1", &executor("e", 1.0))]);
    world.accept(&framework, &[offer], operations);
    assert_eq!(consumed(&world, "eng"), "cpus:1.5 ");
    assert_eq!(world.ledger.frameworks[&framework].used().to_string(), "cpus:1.5");
    let refusal = limit(&mut world, "eng", 1.0, false).unwrap_err().to_string();
    assert!(refusal.contains("role 'eng' already consumes 1.5 cpus"), "{refusal}");
    world.status(session, &framework, "t1", "TASK_FINISHED");
    assert_eq!(consumed(&world, "eng"), "cpus:1 ");
    world.executor_ended(session, &framework, "e");
    assert_eq!(consumed(&world, "eng"), "");
    assert!(world.ledger.frameworks[&framework].used().is_empty());
}

#[test]
fn reservations_on_awaited_agents_count_until_these_are_given_up() {
    let (mut world, framework, _, offer) = start();
    world.accept(&framework, &[offer], json!([reserve(&[amount("cpus", 2.0, &["eng"])])]));
    let mut world = world.restart();
    assert_eq!(consumed(&world, "eng"), "cpus:2 ");
    let refusal = limit(&mut world, "eng", 1.0, false).unwrap_err().to_string();
    assert!(refusal.contains("role 'eng' already consumes 2 cpus"), "{refusal}");
    let mut back = world.restart();
    back.agent_with(RESOURCES, Some("m1-S0"), vec![], vec![]);
    assert_eq!(consumed(&back, "eng"), "cpus:2 ", "counted once");
    world.wait(600_000);
    assert!(!world.ledger.awaits_agents());
    assert_eq!(consumed(&world, "eng"), "");
}

#[test]
fn what_is_being_spent_does_not_count_twice() {
    let (mut world, framework, _, offer) = start();
    limit(&mut world, "eng", 4.0, false).unwrap();
    let offer = world.offers("s1").pop().unwrap_or(offer);
    let operations = json!([
        launch("t1", &[amount("cpus", 1.0, &[])]),
        reserve(&[amount("cpus", 3.0, &["eng"])]),
        launch("t2", &[amount("cpus", 3.0, &["eng"])]),
    ]);
    world.accept(&framework, &[offer], operations);
    assert_eq!(world.ledger.frameworks[&framework].tasks.len(), 2);
    assert_eq!(consumed(&world, "eng"), "cpus:4 ");
}

#[test]
fn operators_reserve_within_limits_and_offers_make_room() {
    let (mut world, ..) = start();
    limit(&mut world, "eng", 3.0, true).unwrap();
    world.agent_with(RESOURCES, Some("a2"), vec![], vec![]);
    let before = rescinded(&world, "s1");
    operate(&mut world, "a2", reserve(&[amount("cpus", 2.0, &["eng"])])).unwrap();
    assert!(rescinded(&world, "s1") > before, "both together would be 5");
    let claimed: karman_model::quantity::Quantity =
        world.ledger.offers.values().map(|offer| offer.resources.scalar("cpus")).sum();
    assert_eq!(claimed.to_string(), "3", "two that are reserved and one more");
}

#[test]
fn operators_break_no_limit() {
    let (mut world, ..) = start();
    limit(&mut world, "eng", 3.0, true).unwrap();
    operate(&mut world, "m1-S0", reserve(&[amount("cpus", 2.0, &["eng/web"])])).unwrap();
    assert_eq!(
        operate(&mut world, "m1-S0", reserve(&[amount("cpus", 2.0, &["eng"])])),
        Err(Refusal::Conflict(
            "Invalid RESERVE operation: 2 more cpus would be reserved for role 'eng', which consumes 2 and is limited to 3".into()
        ))
    );
    operate(&mut world, "m1-S0", reserve(&[amount("cpus", 1.0, &["eng"])])).unwrap();
    assert_eq!(consumed(&world, "eng"), "cpus:3 ");
}

#[test]
fn offers_make_room_for_the_tasks_of_an_agent_that_returns() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"role": "eng"})).unwrap();
    let session = world.agent(None, vec![], vec![]);
    let offer = world.offers("s1").remove(0);
    world.launch(&framework, &offer, "t1", 1.0);
    limit(&mut world, "eng", 4.0, false).unwrap();
    world.apply(Event::SessionClosed { session });
    world.wait(75_000);
    world.agent(Some("a2"), vec![], vec![]);
    assert_eq!(world.offers("s1").len(), 1, "as much as the limit");
    let task = has(&framework, "m1-S0", "t1", "TASK_RUNNING");
    world.agent(Some("m1-S0"), vec![task], vec![]);
    assert_eq!(rescinded(&world, "s1"), 1, "both together would be 5");
    assert_eq!(consumed(&world, "eng"), "cpus:1 ");
}
