//! Apps, deployments and the launch queue of the Marathon API.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Apps {
    pub apps: Vec<App>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct App {
    pub id: String,
    pub cmd: Option<String>,
    pub instances: u32,
    pub cpus: f64,
    pub mem: f64,
    pub disk: f64,
    pub labels: BTreeMap<String, String>,
    pub version: String,
    pub version_info: VersionInfo,
    pub health_checks: Vec<serde_json::Value>,
    pub tasks_staged: u32,
    pub tasks_running: u32,
    pub tasks_healthy: u32,
    pub tasks_unhealthy: u32,
    pub deployments: Vec<DeploymentRef>,
    pub tasks: Vec<Task>,
    pub last_task_failure: Option<TaskFailure>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VersionInfo {
    /// The version that instances have; scaling makes a newer one of the app.
    pub last_config_change_at: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentRef {
    pub id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Task {
    pub id: String,
    pub app_id: String,
    pub host: String,
    pub slave_id: Option<String>,
    pub state: String,
    pub ports: Vec<u16>,
    pub staged_at: Option<String>,
    pub started_at: Option<String>,
    pub version: Option<String>,
    pub health_check_results: Vec<Health>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Health {
    pub alive: bool,
    pub consecutive_failures: u32,
    pub last_failure_cause: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TaskFailure {
    pub host: String,
    pub message: String,
    pub state: String,
    pub task_id: String,
    pub timestamp: String,
    pub version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Deployment {
    pub id: String,
    pub version: String,
    pub affected_apps: Vec<String>,
    pub current_actions: Vec<Action>,
    pub current_step: u32,
    pub total_steps: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Action {
    pub action: String,
    pub app: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    pub queue: Vec<Queued>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Queued {
    pub app: QueuedApp,
    pub count: u32,
    pub delay: Delay,
    pub since: String,
    pub processed_offers_summary: Offers,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct QueuedApp {
    pub id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Delay {
    pub time_left_seconds: f64,
    pub overdue: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Offers {
    pub processed_offers_count: u32,
    pub unused_offers_count: u32,
    pub last_unused_offer_at: Option<String>,
    pub last_used_offer_at: Option<String>,
    pub reject_summary_last_offers: Vec<Rejection>,
    pub reject_summary_launch_attempt: Vec<Rejection>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rejection {
    pub reason: String,
    pub declined: u32,
    pub processed: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Versions {
    pub versions: Vec<String>,
}

impl App {
    /// Whether a task runs an earlier configuration than the app has.
    pub fn is_outdated(&self, task: &Task) -> bool {
        let wanted = self.version_info.last_config_change_at.as_str();
        // Times of one form sort as text.
        task.version.as_deref().is_some_and(|version| !wanted.is_empty() && version < wanted)
    }

    /// Whether a task is what the app wants: current, running and not failing.
    pub fn is_ready(&self, task: &Task) -> bool {
        let alive = task.health_check_results.iter().all(|health| health.alive);
        let checked = self.health_checks.is_empty() || !task.health_check_results.is_empty();
        task.state == "TASK_RUNNING" && alive && checked && !self.is_outdated(task)
    }
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub message: String,
    pub details: serde_json::Value,
}
