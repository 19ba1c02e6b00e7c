//! Running deployments.
#![deny(clippy::disallowed_methods)]

use super::Snapshot;
use super::format::{When, percent};
use crate::wire::marathon;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: String,
    pub apps: Vec<String>,
    /// What it is doing now, one sentence per service.
    pub doing: Vec<String>,
    pub step: u32,
    pub steps: u32,
    /// How much of it is done, 0 to 100.
    pub percent: u8,
    pub since: When,
}

pub fn deployments(snapshot: &Snapshot) -> Vec<Deployment> {
    snapshot.deployments.iter().map(|deployment| shown(snapshot, deployment)).collect()
}

fn shown(snapshot: &Snapshot, deployment: &marathon::Deployment) -> Deployment {
    let marathon::Deployment {
        id,
        version,
        affected_apps,
        current_actions,
        current_step,
        total_steps,
    } = deployment;
    let steps = (*total_steps).max(1);
    let before = f64::from(current_step.saturating_sub(1));
    let ready =
        affected_apps.iter().filter_map(|id| snapshot.apps.iter().find(|app| app.id == *id));
    let ready = ready.map(readiness).fold(1.0, f64::min);
    Deployment {
        id: id.clone(),
        apps: affected_apps.clone(),
        doing: current_actions.iter().map(|action| doing(&action.action, &action.app)).collect(),
        step: *current_step,
        steps,
        percent: percent(before + ready, f64::from(steps)),
        since: When::parse(version, snapshot.taken_ms),
    }
}

/// How much of a service is as it is wanted, 0 to 1; instances that are too
/// many count as much as those that are missing.
fn readiness(app: &marathon::App) -> f64 {
    let ready = app.tasks.iter().filter(|task| app.is_ready(task)).count();
    let ready = f64::from(u32::try_from(ready).unwrap_or(u32::MAX));
    let (wanted, running) = (f64::from(app.instances), f64::from(app.tasks_running));
    let most = wanted.max(running);
    if most > 0.0 { ready.min(wanted) / most } else { 1.0 }
}

fn doing(action: &str, app: &str) -> String {
    let verb = match action {
        "StartApplication" | "StartPod" => "starting",
        "StopApplication" | "StopPod" => "stopping",
        "ScaleApplication" | "ScalePod" => "scaling",
        "RestartApplication" | "RestartPod" => "replacing the instances of",
        other => other,
    };
    format!("{verb} {app}")
}

#[cfg(test)]
mod tests;
