use karman_api::session;
use karman_api::session::master_message::Body;
use karman_model::resource::Resources;
use serde_json::json;

use super::super::tests::world::{World, has, register};
use super::super::{Event, SessionId};
use super::*;

fn info(resources: &str, attributes: &str) -> v1::AgentInfo {
    let resources = Resources::parse(resources, "*").unwrap();
    v1::AgentInfo {
        hostname: "host".into(),
        resources: convert::resources_to_wire(&resources, convert::Format::Refined),
        attributes: convert::attributes_to_wire(
            &karman_model::attribute::Attributes::parse(attributes).unwrap(),
        ),
        ..Default::default()
    }
}

#[test]
fn an_agent_with_tasks_may_gain_but_not_lose() {
    let old = info("cpus:4;ports:[1-10]", "rack:r1;os:{a,b};gen:3;slots:[1-4]");
    let check = |resources, attributes| {
        check_additive(&old, &info(resources, attributes)).map_err(|e| e.to_string())
    };
    let same = "rack:r1;os:{a,b};gen:3;slots:[1-4]";
    assert_eq!(check("cpus:8;ports:[1-20];gpus:1", same), Ok(()));
    assert_eq!(check("cpus:4;ports:[1-10]", "os:{b,a,c};gen:3;slots:[1-9];rack:r1;x:y"), Ok(()));
    for (resources, attributes, expected) in [
        ("cpus:3;ports:[1-10]", same, "the resource 'cpus' was cpus:4 and is cpus:3:"),
        ("cpus:4", same, "the resource 'ports' was ports:[1-10] and is nothing:"),
        ("cpus:4;ports:[2-10]", same, "the resource 'ports' was ports:[1-10] and is ports:[2-10]:"),
        (
            "cpus:4;ports:[1-10]",
            "rack:r2;os:{a,b};gen:3;slots:[1-4]",
            "the attribute 'rack' was rack:r1 and is rack:r2:",
        ),
        (
            "cpus:4;ports:[1-10]",
            "rack:r1;os:{a};gen:3;slots:[1-4]",
            "the attribute 'os' was os:{a,b} and is os:{a}:",
        ),
        (
            "cpus:4;ports:[1-10]",
            "rack:r1;os:{a,b};slots:[1-4]",
            "the attribute 'gen' was gen:3 and is nothing:",
        ),
    ] {
        let problem = check(resources, attributes).unwrap_err();
        assert!(problem.starts_with(expected), "{problem}");
    }
    let moved = v1::AgentInfo { hostname: "other".into(), ..old.clone() };
    let problem = check_additive(&old, &moved).unwrap_err().to_string();
    assert!(problem.starts_with("hostname was host and is other: an agent with tasks"));
}

fn rejection(world: &mut World, session: SessionId) -> Option<String> {
    world.told(session).into_iter().find_map(|body| match body {
        Body::Rejected(session::Rejected { reason, passes: false }) => Some(reason),
        _other => None,
    })
}

#[test]
fn what_an_empty_agent_was_does_not_bind_it() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"failover_timeout": 1000})).unwrap();
    world.agent(Some("a1"), vec![has(&framework, "a1", "t1", "TASK_RUNNING")], vec![]);
    let smaller = |tasks| {
        let mut register = register(Some("a1"), "host", tasks, vec![]);
        register.agent.as_mut().unwrap().resources = info("cpus:2;mem:500", "").resources;
        register
    };
    let session = world.register(smaller(vec![has(&framework, "a1", "t1", "TASK_RUNNING")]));
    let reason = rejection(&mut world, session).unwrap();
    assert!(reason.starts_with("the resource 'cpus' was cpus:4 and is cpus:2"), "{reason}");
    let session = world.register(smaller(vec![has(&framework, "a1", "t1", "TASK_FINISHED")]));
    assert_eq!(rejection(&mut world, session), None);
    assert_eq!(world.ledger.agents["a1"].total.to_string(), "cpus:2;mem:500");
}

#[test]
fn an_agent_whose_first_answer_was_lost_is_the_same_agent() {
    let mut world = World::new();
    let session = world.agent(None, vec![], vec![]);
    world.apply(Event::SessionClosed { session });
    world.agent(None, vec![], vec![]);
    assert_eq!(world.ledger.agents.len(), 1);
    // Another boot, name or port is another agent.
    for change in [
        |it: &mut session::Register| it.boot_id = "c".into(),
        |it: &mut session::Register| it.agent.as_mut().unwrap().hostname = "other".into(),
        |it: &mut session::Register| it.agent.as_mut().unwrap().port = Some(7),
    ] {
        let mut world = World::new();
        let session = world.agent(None, vec![], vec![]);
        world.apply(Event::SessionClosed { session });
        let mut register = register(None, "host", vec![], vec![]);
        change(&mut register);
        world.register(register);
        assert_eq!(world.ledger.agents.len(), 2);
    }
}

#[test]
fn an_agent_that_knew_its_id_and_forgot_it_is_a_new_one() {
    let mut world = World::new();
    let session = world.agent(None, vec![], vec![]);
    world.apply(Event::Pong { session });
    world.apply(Event::SessionClosed { session });
    world.agent(None, vec![], vec![]);
    assert_eq!(world.ledger.agents.len(), 2);
    assert_eq!(world.ledger.unconfirmed.len(), 1);
}

#[test]
fn an_agent_is_where_it_says_it_is() {
    let mut world = World::new();
    let mut register = register(Some("a1"), "host", vec![], vec![]);
    register.address = "10.0.0.7".into();
    world.register(register);
    assert_eq!(world.ledger.agents["a1"].ip.to_string(), "10.0.0.7");
}

#[test]
fn an_id_that_was_given_twice_stays_with_the_younger_task() {
    let mut world = World::new();
    let framework = world.subscribe("s1", json!({"failover_timeout": 1000})).unwrap();
    let young = world.agent(Some("a1"), vec![has(&framework, "a1", "t1", "TASK_RUNNING")], vec![]);
    let old = world.agent(Some("a2"), vec![has(&framework, "a2", "t1", "TASK_RUNNING")], vec![]);
    let told = world.told(old);
    assert!(told.iter().any(|it| matches!(it, Body::Kill(_))));
    assert_eq!(world.ledger.frameworks[&framework].tasks["t1"].agent.as_str(), "a1");
    world.updates("s1");
    world.status(old, &framework, "t1", "TASK_KILLED");
    assert!(world.updates("s1").is_empty(), "the framework hears nothing of it");
    assert!(matches!(world.told(old)[0], Body::Acknowledge(_)));
    world.status(young, &framework, "t1", "TASK_FINISHED");
    assert_eq!(world.states("s1"), ["TASK_FINISHED"]);
    assert!(world.ledger.agents["a1"].used.is_empty());
}
