//! Decides how to get from some apps to others: the steps of a deployment, and
//! within a step what to launch and what to kill.
#![deny(clippy::disallowed_methods)]

pub mod layers;
pub mod rollout;
pub mod select;
pub mod service_ports;

use std::collections::BTreeMap;

use karman_api::marathon::v2::App;
use karman_api::marathon::v2::deployment::{Action, ActionKind, Step};

/// What becomes of one app; `None` is an app that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub before: Option<&'a App>,
    pub after: Option<&'a App>,
    /// The tasks are replaced even where nothing else changes.
    pub restart: bool,
}

/// The steps that apply `changes`, given how all apps depend on one another
/// once they are applied.
pub fn plan(changes: &BTreeMap<String, Change<'_>>, layers: &BTreeMap<String, usize>) -> Vec<Step> {
    let mut removed = Step::default();
    let mut started = Step::default();
    let mut by_layer: BTreeMap<usize, Step> = BTreeMap::new();
    for (app, change) in changes {
        let action = |action| Action { action, app: app.clone() };
        let layer = layers.get(app).copied().unwrap_or_default();
        match (change.before, change.after) {
            (None, None) => {}
            (Some(_), None) => removed.actions.push(action(ActionKind::StopApplication)),
            (None, Some(_)) => {
                started.actions.push(action(ActionKind::StartApplication));
                let step = by_layer.entry(layer).or_default();
                step.actions.push(action(ActionKind::ScaleApplication));
            }
            (Some(before), Some(after)) => {
                if let Some(kind) = kind(before, after, change.restart) {
                    by_layer.entry(layer).or_default().actions.push(action(kind));
                }
            }
        }
    }
    let steps = [removed, started].into_iter().chain(by_layer.into_values());
    steps.filter(|step| !step.actions.is_empty()).collect()
}

fn kind(before: &App, after: &App, restart: bool) -> Option<ActionKind> {
    let changed = restart || is_new_config(before, after);
    match (changed, before.instances == after.instances) {
        (false, true) => None,
        (true, _) if after.instances > 0 => Some(ActionKind::RestartApplication),
        (true, _) | (false, false) => Some(ActionKind::ScaleApplication),
    }
}

/// Whether tasks of `before` have to be replaced to become tasks of `after`.
pub fn is_new_config(before: &App, after: &App) -> bool {
    let comparable =
        |app: &App| App { instances: 0, version: None, version_info: None, ..app.clone() };
    comparable(before) != comparable(after)
}

#[cfg(test)]
mod tests;
