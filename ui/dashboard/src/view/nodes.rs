//! The machines.
#![deny(clippy::disallowed_methods)]

use super::format::{When, from_seconds};
use super::{Badge, Bar, Snapshot, Tone, tasks};
use crate::wire::mesos::Slave;

#[derive(Clone, Debug)]
pub struct Node {
    pub id: String,
    pub hostname: String,
    pub address: String,
    pub badge: Badge,
    pub bars: Vec<Bar>,
    /// As `name:value`.
    pub attributes: Vec<String>,
    pub tasks: usize,
    pub version: String,
    pub since: When,
    pub ports: String,
}

#[derive(Clone, Debug)]
pub struct Detail {
    pub node: Node,
    pub rows: Vec<tasks::Row>,
}

pub fn nodes(snapshot: &Snapshot) -> Vec<Node> {
    let mut nodes: Vec<Node> = snapshot.slaves.iter().map(|slave| node(snapshot, slave)).collect();
    nodes.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    nodes
}

pub fn detail(snapshot: &Snapshot, id: &str) -> Option<Detail> {
    let slave = snapshot.slaves.iter().find(|slave| slave.id == id)?;
    Some(Detail { node: node(snapshot, slave), rows: tasks::of_agent(snapshot, id) })
}

fn node(snapshot: &Snapshot, slave: &Slave) -> Node {
    let running =
        snapshot.tasks.iter().filter(|task| task.slave_id == slave.id && !task.is_terminal());
    let attribute = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{name}:{text}"),
        other => format!("{name}:{other}"),
    };
    Node {
        id: slave.id.clone(),
        hostname: slave.hostname.clone(),
        address: slave.address().unwrap_or_default().to_owned(),
        badge: if slave.deactivated {
            Badge::because(Tone::Warn, "Deactivated", "gets no new tasks")
        } else if slave.active {
            Badge::new(Tone::Good, "Active")
        } else {
            Badge::because(Tone::Bad, "Disconnected", "the master does not hear of this agent")
        },
        bars: Bar::all(&slave.used_resources, &slave.offered_resources, &slave.resources),
        attributes: slave.attributes.iter().map(attribute).collect(),
        tasks: running.count(),
        version: slave.version.clone(),
        since: When::at(from_seconds(slave.registered_time), snapshot.taken_ms),
        ports: slave.resources.ports.clone(),
    }
}
