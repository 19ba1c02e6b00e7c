//! The list of services, by group.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::format::{cpus, mib};
use super::{Badge, Snapshot, Tone, format};
use crate::wire::marathon::{App, Offers, Queued};

/// A service that waits longer than this for offers is said to wait.
const PATIENCE_MS: u64 = 10_000;

/// What the user asked to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Part of an id; finds services in all groups.
    pub q: String,
    /// The group whose content is shown, as `/a/b`; empty for all at the top.
    pub group: String,
}

#[derive(Clone, Debug)]
pub struct Services {
    pub filter: Filter,
    /// The groups above, outermost first: name and path.
    pub crumbs: Vec<(String, String)>,
    pub groups: Vec<Group>,
    pub rows: Vec<Row>,
    /// How many services there are in all.
    pub total: usize,
}

/// A folder of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub path: String,
    pub services: usize,
    pub badge: Badge,
    pub running: u32,
    pub target: u32,
    pub cpus: String,
    pub mem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    /// The id within the group that is shown.
    pub name: String,
    /// The id as part of a URL.
    pub path: String,
    pub badge: Badge,
    pub health: Health,
    pub running: u32,
    pub target: u32,
    pub cpus: String,
    pub mem: String,
    pub version: String,
}

/// Instances by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub healthy: u32,
    pub unhealthy: u32,
    /// Running without having passed or failed a check.
    pub unknown: u32,
    pub staged: u32,
    pub checked: bool,
}

impl Health {
    pub fn of(app: &App) -> Self {
        let checked = !app.health_checks.is_empty();
        let (healthy, unhealthy) = (app.tasks_healthy, app.tasks_unhealthy);
        let unknown = app.tasks_running.saturating_sub(healthy + unhealthy);
        Self { healthy, unhealthy, unknown, staged: app.tasks_staged, checked }
    }

    pub fn text(&self) -> String {
        if !self.checked {
            return "no health check".to_owned();
        }
        let parts = [
            (self.healthy, "healthy"),
            (self.unhealthy, "unhealthy"),
            (self.unknown, "not checked yet"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if parts.is_empty() { "no instance".to_owned() } else { parts.join(", ") }
    }
}

pub fn services(snapshot: &Snapshot, filter: &Filter) -> Services {
    let group = filter.group.trim_matches('/');
    let inside = if group.is_empty() { "/".to_owned() } else { format!("/{group}/") };
    let needle = filter.q.trim().to_lowercase();
    let mut folders: BTreeMap<String, Vec<&App>> = BTreeMap::new();
    let mut rows = Vec::new();
    for app in &snapshot.apps {
        let Some(name) = app.id.strip_prefix(&inside) else { continue };
        if !needle.is_empty() {
            if app.id.to_lowercase().contains(&needle) {
                rows.push(row(snapshot, app, name));
            }
            continue;
        }
        match name.split_once('/') {
            Some((folder, _)) => folders.entry(folder.to_owned()).or_default().push(app),
            None => rows.push(row(snapshot, app, name)),
        }
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let groups =
        folders.into_iter().map(|(name, apps)| folder(snapshot, &inside, name, &apps)).collect();
    Services {
        filter: filter.clone(),
        crumbs: crumbs(group),
        groups,
        rows,
        total: snapshot.apps.len(),
    }
}

fn crumbs(group: &str) -> Vec<(String, String)> {
    let mut path = String::new();
    let parts = group.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            path.push('/');
            path.push_str(part);
            (part.to_owned(), path.clone())
        })
        .collect()
}

fn folder(snapshot: &Snapshot, inside: &str, name: String, apps: &[&App]) -> Group {
    let badges = apps.iter().map(|app| status(snapshot, app));
    // A group is what its worst service is.
    let worst =
        badges.min_by_key(|badge| badge.tone).unwrap_or_else(|| Badge::new(Tone::Idle, "Empty"));
    let sum = |amount: fn(&App) -> f64| {
        apps.iter().map(|app| amount(app) * f64::from(app.instances)).sum()
    };
    Group {
        path: format!("{inside}{name}"),
        name,
        services: apps.len(),
        badge: worst,
        running: apps.iter().map(|app| app.tasks_running).sum(),
        target: apps.iter().map(|app| app.instances).sum(),
        cpus: cpus(sum(|app| app.cpus)),
        mem: mib(sum(|app| app.mem)),
    }
}

pub fn row(snapshot: &Snapshot, app: &App, name: &str) -> Row {
    let instances = f64::from(app.instances);
    Row {
        id: app.id.clone(),
        name: name.to_owned(),
        path: app.id.trim_start_matches('/').to_owned(),
        badge: status(snapshot, app),
        health: Health::of(app),
        running: app.tasks_running,
        target: app.instances,
        cpus: cpus(app.cpus * instances),
        mem: mib(app.mem * instances),
        version: app.version.clone(),
    }
}

/// What a service is doing, in one word with its reason.
pub fn status(snapshot: &Snapshot, app: &App) -> Badge {
    let deploying = !app.deployments.is_empty();
    if let Some(queued) =
        snapshot.queue.iter().find(|queued| queued.app.id == app.id && queued.count > 0)
        && let Some(badge) = waiting(queued, snapshot.taken_ms)
    {
        return badge;
    }
    if app.tasks_unhealthy > 0 && !deploying {
        let count = usize::try_from(app.tasks_unhealthy).unwrap_or(usize::MAX);
        let detail = format!(
            "{} failing its health check",
            format::count(count, "instance is", "instances are")
        );
        return Badge::because(
            Tone::Bad,
            "Unhealthy",
            detail.replace("are failing its", "are failing their"),
        );
    }
    if deploying {
        return Badge::because(Tone::Busy, "Deploying", "a deployment is changing this service");
    }
    if app.instances == 0 {
        return Badge::because(Tone::Idle, "Suspended", "scaled to no instances");
    }
    if app.tasks_running < app.instances {
        let detail = format!("{} of {} instances run", app.tasks_running, app.instances);
        return Badge::because(Tone::Busy, "Starting", detail);
    }
    Badge::new(Tone::Good, "Running")
}

/// Why launches wait, if they do for a reason worth telling.
fn waiting(queued: &Queued, now_ms: u64) -> Option<Badge> {
    let left = queued.delay.time_left_seconds;
    if !queued.delay.overdue && left >= 1.0 {
        let detail = format!("its instances failed; the next start is in {} s", cpus(left.ceil()));
        return Some(Badge::because(Tone::Warn, "Delayed", detail));
    }
    if let Some(reason) = main_reason(&queued.processed_offers_summary) {
        return Some(Badge::because(Tone::Warn, "Waiting", reason));
    }
    let since = format::parse_time(&queued.since)?;
    (now_ms.saturating_sub(since) > PATIENCE_MS)
        .then(|| Badge::because(Tone::Warn, "Waiting", "no agent has offered resources yet"))
}

/// The most frequent reason in the last offers.
fn main_reason(offers: &Offers) -> Option<String> {
    let worst = offers.reject_summary_last_offers.iter().filter(|rejection| rejection.declined > 0);
    let worst = worst.max_by_key(|rejection| rejection.declined)?;
    Some(reason_text(&worst.reason).to_owned())
}

/// A rejection reason of the Marathon API in words.
pub fn reason_text(reason: &str) -> &str {
    match reason {
        "UnfulfilledRole" => "resources belong to another role",
        "UnfulfilledConstraint" => "placement constraints are not met",
        "NoCorrespondingReservationFound" => "its reserved resources were not offered",
        "AgentMaintenance" => "agents are in maintenance",
        "InsufficientCpus" => "not enough CPU is free on any agent",
        "InsufficientMemory" => "not enough memory is free on any agent",
        "InsufficientDisk" => "not enough disk is free on any agent",
        "InsufficientGpus" => "not enough GPUs are free on any agent",
        "InsufficientPorts" => "the ports it needs are taken",
        "DeclinedScarceResources" => "agents with scarce resources are kept free",
        other => other,
    }
}

/// The same of single offers: "2 of 3 ...".
pub fn offer_text(reason: &str) -> &str {
    match reason {
        "UnfulfilledRole" => "were for another role",
        "UnfulfilledConstraint" => "did not meet the placement constraints",
        "NoCorrespondingReservationFound" => "did not hold its reserved resources",
        "AgentMaintenance" => "came from agents in maintenance",
        "InsufficientCpus" => "had too little CPU",
        "InsufficientMemory" => "had too little memory",
        "InsufficientDisk" => "had too little disk",
        "InsufficientGpus" => "had too few GPUs",
        "InsufficientPorts" => "did not have the ports it needs",
        "DeclinedScarceResources" => "came from agents with scarce resources, which are kept free",
        other => other,
    }
}

#[cfg(test)]
mod tests;
