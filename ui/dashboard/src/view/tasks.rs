//! The tasks of all frameworks.
#![deny(clippy::disallowed_methods)]

use super::format::{When, cpus, from_seconds, mib};
use super::{Badge, Snapshot, Tone};
use crate::wire::{marathon, mesos};

/// More rows than this nobody reads; the filter finds the rest.
const ROWS_MAX: usize = 500;

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Part of an id, name or host.
    pub q: String,
    /// `active` (also when empty), `completed` or `all`.
    pub state: String,
}

#[derive(Clone, Debug)]
pub struct Tasks {
    pub filter: Filter,
    pub rows: Vec<Row>,
    /// How many match in all.
    pub matching: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub name: String,
    /// The service, if the orchestrator runs it: the id as part of a URL.
    pub service: Option<String>,
    pub framework: String,
    pub host: String,
    pub agent_id: String,
    pub badge: Badge,
    pub health: Badge,
    pub cpus: String,
    pub mem: String,
    pub updated: When,
}

/// One task in full.
#[derive(Clone, Debug)]
pub struct Detail {
    pub row: Row,
    pub message: String,
    pub endpoints: Vec<Endpoint>,
    pub disk: String,
    pub ports: String,
    pub container: String,
    /// What was heard of it, newest first.
    pub history: Vec<(Badge, When, String)>,
    pub active: bool,
}

/// An address of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
    pub label: String,
}

pub fn endpoints(host: &str, ports: &[u16]) -> Vec<Endpoint> {
    let shown = |port: &u16| Endpoint {
        url: format!("http://{host}:{port}/"),
        label: format!("{host}:{port}"),
    };
    ports.iter().map(shown).collect()
}

pub fn tasks(snapshot: &Snapshot, filter: &Filter) -> Tasks {
    let needle = filter.q.trim().to_lowercase();
    let wanted = |task: &&mesos::Task| match filter.state.as_str() {
        "all" => true,
        "completed" => task.is_terminal(),
        _ => !task.is_terminal(),
    };
    let mut rows: Vec<Row> =
        snapshot.tasks.iter().filter(wanted).map(|task| row(snapshot, task)).collect();
    if !needle.is_empty() {
        rows.retain(|row| {
            [&row.id, &row.name, &row.host, &row.framework]
                .iter()
                .any(|text| text.to_lowercase().contains(&needle))
        });
    }
    rows.sort_by(|a, b| (&a.name, &b.updated.full, &a.id).cmp(&(&b.name, &a.updated.full, &b.id)));
    let matching = rows.len();
    rows.truncate(ROWS_MAX);
    Tasks { filter: filter.clone(), rows, matching }
}

/// The tasks of one agent, active ones first.
pub fn of_agent(snapshot: &Snapshot, agent: &str) -> Vec<Row> {
    let tasks = snapshot.tasks.iter().filter(|task| task.slave_id == agent && !task.is_terminal());
    let mut rows: Vec<Row> = tasks.map(|task| row(snapshot, task)).collect();
    rows.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    rows.truncate(ROWS_MAX);
    rows
}

pub fn detail(snapshot: &Snapshot, id: &str) -> Option<Detail> {
    let task = snapshot.tasks.iter().find(|task| task.id == id)?;
    let of_service = service_task(snapshot, id);
    let ports = of_service.map(|(_, task)| task.ports.clone()).unwrap_or_default();
    let host = of_service.map(|(_, task)| task.host.clone()).unwrap_or_default();
    let mut statuses: Vec<&mesos::Status> = task.statuses.iter().collect();
    statuses.sort_by(|a, b| b.timestamp.total_cmp(&a.timestamp));
    let heard = |status: &mesos::Status| {
        (
            state(&status.state),
            When::at(from_seconds(status.timestamp), snapshot.taken_ms),
            status.message.clone(),
        )
    };
    Some(Detail {
        row: row(snapshot, task),
        message: message(snapshot, task),
        endpoints: endpoints(&host, &ports),
        disk: mib(task.resources.disk),
        ports: task.resources.ports.clone(),
        container: task.container_id().unwrap_or_default().to_owned(),
        history: statuses.into_iter().map(heard).collect(),
        active: !task.is_terminal(),
    })
}

/// What was last said of a task. A master need not tell; the orchestrator
/// remembers the last failure of each service.
fn message(snapshot: &Snapshot, task: &mesos::Task) -> String {
    let said =
        task.last().map(|status| status.message.clone()).filter(|message| !message.is_empty());
    let failures = snapshot.apps.iter().filter_map(|app| app.last_task_failure.as_ref());
    let mut remembered = failures.filter(|failure| failure.task_id == task.id);
    said.or_else(|| remembered.next().map(|failure| failure.message.clone())).unwrap_or_default()
}

fn row(snapshot: &Snapshot, task: &mesos::Task) -> Row {
    let framework =
        snapshot.summary.frameworks.iter().find(|framework| framework.id == task.framework_id);
    let host = snapshot
        .slaves
        .iter()
        .find(|slave| slave.id == task.slave_id)
        .map(|slave| slave.hostname.clone());
    let service = service_task(snapshot, &task.id);
    Row {
        id: task.id.clone(),
        name: task.name.clone(),
        service: service
            .map(|(app, _)| app)
            .or_else(|| task.is_terminal().then(|| named(snapshot, &task.name)).flatten())
            .map(|app| app.id.trim_start_matches('/').to_owned()),
        framework: framework
            .map_or_else(|| task.framework_id.clone(), |framework| framework.name.clone()),
        host: host.unwrap_or_else(|| task.slave_id.clone()),
        agent_id: task.slave_id.clone(),
        badge: state(&task.state),
        health: health(task),
        cpus: cpus(task.resources.cpus),
        mem: mib(task.resources.mem),
        updated: When::at(from_seconds(task.updated()), snapshot.taken_ms),
    }
}

fn service_task<'a>(
    snapshot: &'a Snapshot,
    id: &str,
) -> Option<(&'a marathon::App, &'a marathon::Task)> {
    let of = |app: &'a marathon::App| {
        app.tasks.iter().find(|task| task.id == id).map(|task| (app, task))
    };
    snapshot.apps.iter().find_map(of)
}

/// The service of a task that is gone: tasks are named after their service,
/// innermost group first.
fn named<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a marathon::App> {
    let reversed = |id: &str| id.trim_matches('/').split('/').rev().collect::<Vec<_>>().join(".");
    snapshot.apps.iter().find(|app| reversed(&app.id) == name)
}

fn health(task: &mesos::Task) -> Badge {
    if task.is_terminal() {
        return Badge::new(Tone::Idle, "–");
    }
    match task.last().and_then(|status| status.healthy) {
        Some(true) => Badge::new(Tone::Good, "Healthy"),
        Some(false) => Badge::new(Tone::Bad, "Unhealthy"),
        None => Badge::new(Tone::Idle, "–"),
    }
}

/// A task state in a word.
pub fn state(state: &str) -> Badge {
    let (tone, label) = match state {
        "TASK_RUNNING" => (Tone::Good, "Running"),
        "TASK_STAGING" => (Tone::Busy, "Staging"),
        "TASK_STARTING" => (Tone::Busy, "Starting"),
        "TASK_KILLING" => (Tone::Busy, "Stopping"),
        "TASK_FINISHED" => (Tone::Idle, "Finished"),
        "TASK_KILLED" => (Tone::Idle, "Killed"),
        "TASK_FAILED" => (Tone::Bad, "Failed"),
        "TASK_ERROR" => (Tone::Bad, "Error"),
        "TASK_LOST" => (Tone::Bad, "Lost"),
        "TASK_DROPPED" => (Tone::Bad, "Dropped"),
        "TASK_GONE" | "TASK_GONE_BY_OPERATOR" => (Tone::Bad, "Gone"),
        "TASK_UNREACHABLE" => (Tone::Warn, "Unreachable"),
        other => (Tone::Warn, other.strip_prefix("TASK_").unwrap_or(other)),
    };
    Badge::new(tone, label)
}

#[cfg(test)]
mod tests;
