//! Running deployments.
#![deny(clippy::disallowed_methods)]

use super::Snapshot;
use super::format::When;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: String,
    pub apps: Vec<String>,
    /// What it is doing now, one sentence per service.
    pub doing: Vec<String>,
    pub step: u32,
    pub steps: u32,
    pub since: When,
}

pub fn deployments(snapshot: &Snapshot) -> Vec<Deployment> {
    let shown = |deployment: &crate::wire::marathon::Deployment| Deployment {
        id: deployment.id.clone(),
        apps: deployment.affected_apps.clone(),
        doing: deployment
            .current_actions
            .iter()
            .map(|action| doing(&action.action, &action.app))
            .collect(),
        step: deployment.current_step,
        steps: deployment.total_steps.max(1),
        since: When::parse(&deployment.version, snapshot.taken_ms),
    };
    snapshot.deployments.iter().map(shown).collect()
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
