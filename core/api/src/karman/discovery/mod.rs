//! The discovery stream, `GET /karman/v1/discovery` on a master.
//!
//! One JSON [`Message`] a line. The first is a full snapshot; each later one is
//! the delta that leads from `generation - 1` to `generation`, or again a full
//! snapshot, or a keep-alive that repeats the generation and changes nothing.
//! A reader that misses a generation reconnects.
//! Every answer about names and virtual IPs is a function of this snapshot.
#![deny(clippy::disallowed_methods)]

mod snapshot;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use snapshot::{Applied, Gap, Snapshot};

/// How often a master repeats itself when nothing changes, in seconds.
pub const KEEP_ALIVE_SECONDS: u64 = 5;

/// One line of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub generation: u64,
    /// The entries replace all that the reader knows.
    pub full: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<Master>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frameworks: Vec<Framework>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_tasks: Vec<TaskKey>,
    /// Ids of agents and frameworks that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_agents: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_frameworks: Vec<String>,
}

/// The leading master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    pub hostname: String,
    pub ip: IpAddr,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: String,
    pub hostname: String,
    pub ip: IpAddr,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framework {
    pub id: String,
    pub name: String,
    /// Where the scheduler can be reached, if it said so (from `webui_url`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webui_url: Option<String>,
}

/// Which task: ids of tasks are unique within their framework only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskKey {
    pub framework_id: String,
    pub id: String,
}

/// A task in state `TASK_RUNNING` or `TASK_KILLING`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The task id; unique together with the framework.
    pub id: String,
    pub name: String,
    pub framework_id: String,
    pub agent_id: String,
    pub killing: bool,
    /// `None` where the task has no health check or has not passed it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    pub has_health_check: bool,
    /// Addresses of the container, empty on the host's network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_ips: Vec<IpAddr>,
    /// The host ports that the task was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<u16>,
    /// Host to container port mappings of a bridged container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<PortMapping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: String,
}

/// What the task said about itself in `DiscoveryInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Discovery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<DiscoveryPort>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DiscoveryPort {
    pub number: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
