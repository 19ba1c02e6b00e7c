//! One service: its instances, why it waits, what failed last.
#![deny(clippy::disallowed_methods)]

use serde_json::{Map, Value};

use super::format::{When, cpus, mib};
use super::services::{Health, offer_text, status};
use super::tasks::{Endpoint, endpoints, state};
use super::{Badge, Snapshot, Tone};
use crate::wire::marathon::{App, Offers, Queued, Task};

#[derive(Clone, Debug)]
pub struct Service {
    pub id: String,
    pub path: String,
    pub badge: Badge,
    pub health: Health,
    pub running: u32,
    pub target: u32,
    /// Of one instance.
    pub cpus: String,
    pub mem: String,
    pub disk: String,
    pub instances: Vec<Instance>,
    pub pending: Option<Pending>,
    pub failure: Option<Failure>,
    pub deployments: Vec<String>,
    pub version: When,
}

#[derive(Clone, Debug)]
pub struct Instance {
    pub id: String,
    pub endpoints: Vec<Endpoint>,
    pub host: String,
    pub agent_id: String,
    pub badge: Badge,
    pub health: Badge,
    pub version: When,
    /// Whether it runs another version than the service wants.
    pub outdated: bool,
    pub since: When,
}

/// Why instances do not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub count: u32,
    pub since: When,
    /// Seconds until the next try, if it is put off.
    pub delay: Option<String>,
    pub offers: u32,
    pub unused: u32,
    /// Reason, offers declined for it, offers looked at.
    pub reasons: Vec<(String, u32, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub badge: Badge,
    pub message: String,
    pub task: String,
    pub host: String,
    pub when: When,
}

pub fn service(snapshot: &Snapshot, id: &str) -> Option<Service> {
    let app = snapshot.apps.iter().find(|app| app.id == id)?;
    let now = snapshot.taken_ms;
    let mut instances: Vec<Instance> =
        app.tasks.iter().map(|task| instance(app, task, now)).collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    let queued = snapshot.queue.iter().find(|queued| queued.app.id == app.id && queued.count > 0);
    Some(Service {
        id: app.id.clone(),
        path: app.id.trim_start_matches('/').to_owned(),
        badge: status(snapshot, app),
        health: Health::of(app),
        running: app.tasks_running,
        target: app.instances,
        cpus: cpus(app.cpus),
        mem: mib(app.mem),
        disk: mib(app.disk),
        instances,
        pending: queued.map(|queued| pending(queued, now)),
        failure: failure(app, now),
        deployments: app.deployments.iter().map(|deployment| deployment.id.clone()).collect(),
        version: When::parse(&app.version, now),
    })
}

fn instance(app: &App, task: &Task, now: u64) -> Instance {
    let since = task.started_at.as_deref().or(task.staged_at.as_deref()).unwrap_or_default();
    let version = task.version.as_deref().unwrap_or_default();
    Instance {
        id: task.id.clone(),
        endpoints: endpoints(&task.host, &task.ports),
        host: task.host.clone(),
        agent_id: task.slave_id.clone().unwrap_or_default(),
        badge: state(&task.state),
        health: health(app, task),
        version: When::parse(version, now),
        outdated: app.is_outdated(task),
        since: When::parse(since, now),
    }
}

fn health(app: &App, task: &Task) -> Badge {
    if app.health_checks.is_empty() {
        return Badge::new(Tone::Idle, "–");
    }
    let results = &task.health_check_results;
    let failing = results.iter().find(|result| !result.alive);
    match failing {
        _ if results.is_empty() => Badge::new(Tone::Idle, "Not checked yet"),
        None => Badge::new(Tone::Good, "Healthy"),
        Some(result) => Badge::because(
            Tone::Bad,
            "Unhealthy",
            result.last_failure_cause.clone().unwrap_or_else(|| "the check fails".to_owned()),
        ),
    }
}

fn pending(queued: &Queued, now: u64) -> Pending {
    let Offers { processed_offers_count, unused_offers_count, reject_summary_last_offers, .. } =
        &queued.processed_offers_summary;
    let reasons = reject_summary_last_offers.iter().filter(|rejection| rejection.declined > 0);
    let left = queued.delay.time_left_seconds;
    Pending {
        count: queued.count,
        since: When::parse(&queued.since, now),
        delay: (!queued.delay.overdue && left >= 1.0).then(|| cpus(left.ceil())),
        offers: *processed_offers_count,
        unused: *unused_offers_count,
        reasons: reasons
            .map(|rejection| {
                (offer_text(&rejection.reason).to_owned(), rejection.declined, rejection.processed)
            })
            .collect(),
    }
}

fn failure(app: &App, now: u64) -> Option<Failure> {
    let failure = app.last_task_failure.as_ref()?;
    Some(Failure {
        badge: state(&failure.state),
        message: failure.message.clone(),
        task: failure.task_id.clone(),
        host: failure.host.clone(),
        when: When::parse(&failure.timestamp, now),
    })
}

/// Keys of an app that say how it is, not how it should be.
const OBSERVED: &[&str] = &[
    "tasks",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "tasksStats",
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
    "version",
    "versionInfo",
];

/// The part of an app that a user may edit, as text.
pub fn configuration(app: &Map<String, Value>) -> String {
    let wanted: Map<String, Value> = app
        .iter()
        .filter(|(key, value)| !OBSERVED.contains(&key.as_str()) && !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    serde_json::to_string_pretty(&wanted).unwrap_or_default()
}
