use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn agent(n: u8) -> Agent {
    let ip = IpAddr::from([192, 0, 2, 10 + n]);
    Agent { id: format!("S{n}"), hostname: format!("agent{n}.example"), ip, port: 5051 }
}

fn master() -> Master {
    Master { hostname: "master.example".into(), ip: IpAddr::from([192, 0, 2, 1]), port: 5050 }
}

/// A running task of framework `f`.
fn task(id: &str, name: &str, on: u8, host_ports: &[u16]) -> Task {
    Task {
        id: id.into(),
        name: name.into(),
        framework_id: "f".into(),
        agent_id: agent(on).id,
        killing: false,
        healthy: None,
        has_health_check: false,
        container_ips: Vec::new(),
        host_ports: host_ports.to_vec(),
        port_mappings: Vec::new(),
        discovery: None,
        labels: BTreeMap::new(),
    }
}

/// A full message with one framework, three agents and these tasks.
fn full(generation: u64, tasks: Vec<Task>) -> Message {
    Message {
        generation,
        full: true,
        leader: Some(master()),
        tasks,
        agents: (1..=3).map(agent).collect(),
        frameworks: vec![Framework { id: "f".into(), name: "marathon".into(), webui_url: None }],
        ..Message::default()
    }
}

fn gone(framework: &str, id: &str) -> TaskKey {
    TaskKey { framework_id: framework.into(), id: id.into() }
}

#[test]
fn deltas_lead_from_one_generation_to_the_next() {
    let mut snapshot =
        Snapshot::new(full(7, vec![task("t1", "web", 1, &[]), task("t2", "web", 2, &[])]));
    let keep_alive = Message { generation: 7, ..Message::default() };
    assert_eq!(snapshot.apply(keep_alive), Ok(Applied::Unchanged));
    let delta = Message {
        generation: 8,
        tasks: vec![task("t3", "web", 3, &[])],
        removed_tasks: vec![gone("f", "t1"), gone("other", "t2")],
        removed_agents: vec![agent(1).id],
        ..Message::default()
    };
    assert_eq!(snapshot.apply(delta), Ok(Applied::Changed));
    let ids: Vec<&str> = snapshot.tasks.keys().map(|(_, id)| id.as_str()).collect();
    assert_eq!((ids, snapshot.agents.len(), snapshot.generation), (vec!["t2", "t3"], 2, 8));
    assert_eq!(snapshot.leader, Some(master()));
}

#[test]
fn a_missing_generation_is_a_gap_and_changes_nothing() {
    let mut snapshot = Snapshot::new(full(7, vec![]));
    let before = snapshot.clone();
    for generation in [6, 9] {
        let delta =
            Message { generation, tasks: vec![task("t", "web", 1, &[])], ..Message::default() };
        assert_eq!(snapshot.apply(delta), Err(Gap { have: 7, got: generation }));
    }
    assert_eq!(snapshot, before);
}

#[test]
fn a_full_message_replaces_everything_even_backwards() {
    let mut snapshot = Snapshot::new(full(7, vec![task("t", "web", 1, &[])]));
    assert_eq!(snapshot.apply(full(2, vec![])), Ok(Applied::Changed));
    assert_eq!(snapshot, Snapshot::new(full(2, vec![])));
}

#[test]
fn tasks_of_absent_agents_are_kept() {
    let before = full(7, vec![task("t1", "web", 1, &[]), task("t2", "web", 2, &[])]);
    let before = Snapshot::new(before);
    // The master is new: of three agents the first is back, and its task is gone.
    let back = Message { agents: vec![agent(1)], frameworks: vec![], ..full(1, vec![]) };
    let back = Snapshot::new(back);
    let joined = back.with_absent(&before);
    let ids: Vec<&str> = joined.tasks.keys().map(|(_, id)| id.as_str()).collect();
    assert_eq!((ids, joined.agents.len(), joined.generation), (vec!["t2"], 3, 1));
    assert!(joined.frameworks.contains_key("f"));
    assert_eq!(before.with_absent(&before), before);
    // Once it is back, an agent that leaves is gone.
    let mut held = before;
    held.forget_known(&back);
    let left = Snapshot::new(Message { agents: vec![], ..full(2, vec![]) }).with_absent(&held);
    assert!(!left.agents.contains_key(&agent(1).id) && left.tasks.len() == 1);
}

proptest! {
    #[test]
    fn what_lies_on_disk_is_the_whole_snapshot(generation: u64, agents in prop::collection::vec(1..4_u8, 0..5)) {
        let tasks = agents.iter().enumerate().map(|(n, on)| task(&format!("t{n}"), "web", *on, &[8080]));
        let snapshot = Snapshot::new(full(generation, tasks.collect()));
        let text = serde_json::to_string(&snapshot.to_message()).unwrap();
        prop_assert_eq!(Snapshot::new(serde_json::from_str(&text).unwrap()), snapshot);
    }
}
