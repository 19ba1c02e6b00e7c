//! `/state-summary`, `/slaves` and `/tasks` of a master.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Summary {
    pub cluster: String,
    pub hostname: String,
    pub frameworks: Vec<Framework>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Framework {
    pub id: String,
    pub name: String,
    pub active: bool,
    pub offered_resources: Resources,
    pub used_resources: Resources,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpus: f64,
    pub mem: f64,
    pub disk: f64,
    pub gpus: f64,
    pub ports: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Slaves {
    pub slaves: Vec<Slave>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Slave {
    pub id: String,
    pub hostname: String,
    pub port: u16,
    /// `slave(1)@ip:port`.
    pub pid: String,
    pub active: bool,
    pub deactivated: bool,
    pub version: String,
    pub registered_time: f64,
    pub attributes: BTreeMap<String, serde_json::Value>,
    pub resources: Resources,
    pub used_resources: Resources,
    pub offered_resources: Resources,
}

impl Slave {
    /// The base URL of the agent, which is reached by `scheme`.
    pub fn url(&self, scheme: &str) -> Option<String> {
        self.address().map(|address| format!("{scheme}://{address}"))
    }

    /// IP address and port of the agent.
    pub fn address(&self) -> Option<&str> {
        let (_, address) = self.pid.rsplit_once('@')?;
        (!address.is_empty()).then_some(address)
    }

    /// The IP address of the agent.
    pub fn ip(&self) -> Option<&str> {
        self.address()?.rsplit_once(':').map(|(ip, _)| ip)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tasks {
    pub tasks: Vec<Task>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Task {
    pub id: String,
    pub name: String,
    pub framework_id: String,
    pub executor_id: String,
    pub slave_id: String,
    pub state: String,
    pub resources: Resources,
    pub statuses: Vec<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub state: String,
    /// Seconds since the epoch.
    pub timestamp: f64,
    pub healthy: Option<bool>,
    pub message: String,
    pub container_status: ContainerStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    pub container_id: ContainerId,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerId {
    pub value: String,
}

impl Task {
    /// When something was last heard of the task, in seconds.
    pub fn updated(&self) -> f64 {
        self.statuses.iter().map(|status| status.timestamp).fold(0.0, f64::max)
    }

    pub fn last(&self) -> Option<&Status> {
        self.statuses.iter().max_by(|a, b| a.timestamp.total_cmp(&b.timestamp))
    }

    pub fn container_id(&self) -> Option<&str> {
        let ids =
            self.statuses.iter().map(|status| status.container_status.container_id.value.as_str());
        ids.into_iter().find(|id| !id.is_empty())
    }

    pub fn is_terminal(&self) -> bool {
        !matches!(
            self.state.as_str(),
            "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
        )
    }
}
