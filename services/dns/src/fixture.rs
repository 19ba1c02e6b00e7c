//! Pieces of discovery messages for tests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use karman_api::karman::discovery::{
    Agent, Discovery, DiscoveryPort, Framework, Master, Message, Task, TaskKey,
};

/// The first octets are of a documentation network, the last tells them apart.
pub(crate) fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

pub(crate) fn master() -> Master {
    Master { hostname: "master.example".into(), ip: ip(1), port: 5050 }
}

pub(crate) fn agent(n: u8) -> Agent {
    Agent {
        id: format!("20260101-S{n}"),
        hostname: format!("agent{n}.example"),
        ip: ip(10 + n),
        port: 5051,
    }
}

pub(crate) fn framework(id: &str, name: &str) -> Framework {
    Framework { id: id.into(), name: name.into(), webui_url: None }
}

/// A running task of framework `f` on an agent, with host ports.
pub(crate) fn task(id: &str, name: &str, on: u8, host_ports: &[u16]) -> Task {
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

pub(crate) fn discovery(
    name: &str,
    ports: &[(u16, Option<&str>, Option<&str>)],
) -> Option<Discovery> {
    let port = |(number, name, protocol): &(u16, Option<&str>, Option<&str>)| DiscoveryPort {
        number: *number,
        name: name.map(str::to_owned),
        protocol: protocol.map(str::to_owned),
        labels: BTreeMap::new(),
    };
    Some(Discovery { name: Some(name.to_owned()), ports: ports.iter().map(port).collect() })
}

/// A full message with one framework `marathon`, three agents and these tasks.
pub(crate) fn full(generation: u64, tasks: Vec<Task>) -> Message {
    Message {
        generation,
        full: true,
        leader: Some(master()),
        tasks,
        agents: (1..=3).map(agent).collect(),
        frameworks: vec![framework("f", "marathon")],
        ..Message::default()
    }
}

/// The key of a task that has ended.
pub(crate) fn gone(framework: &str, id: &str) -> TaskKey {
    TaskKey { framework_id: framework.into(), id: id.into() }
}
