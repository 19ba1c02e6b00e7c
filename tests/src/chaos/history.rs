//! What was asked, what was promised, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::processes;

/// The variable in the environment of every task of a campaign.
pub(super) const MARK: &str = "KARMAN_CHAOS";

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Acknowledged,
    Refused,
    /// Nobody knows whether it happened.
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct History {
    /// How many instances an app may have; zero is no app at all.
    apps: BTreeMap<String, BTreeSet<u64>>,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    /// The newest token of each name.
    tokens: BTreeMap<String, u64>,
    /// Everything that must not be.
    pub(super) violations: BTreeSet<String>,
}

impl History {
    /// An app was asked to have so many instances.
    pub(super) fn wrote(&mut self, app: &str, instances: u64, ended: Ended) {
        let may_have = self.apps.entry(app.to_owned()).or_insert_with(|| BTreeSet::from([0]));
        match ended {
            Ended::Acknowledged => {
                *may_have = BTreeSet::from([instances]);
                self.acknowledged += 1;
            }
            Ended::Refused => self.refused += 1,
            Ended::Unknown => {
                may_have.insert(instances);
                self.unknown += 1;
            }
        }
    }

    pub(super) fn apps(&self) -> &BTreeMap<String, BTreeSet<u64>> {
        &self.apps
    }

    /// Somebody is seen to lead.
    pub(super) fn leads(&mut self, name: &str, token: u64) {
        let newest = self.tokens.entry(name.to_owned()).or_default();
        if token < *newest {
            let newest = *newest;
            self.violation(format!("{name} is led by token {token} after {newest}"));
        } else {
            *newest = token;
        }
    }

    pub(super) fn violation(&mut self, what: String) {
        self.violations.insert(what);
    }

    /// Nothing acknowledged is lost: an app has what it was promised.
    pub(super) fn judge(&mut self, app: &str, has: u64) {
        let may_have = self.apps.get(app).cloned().unwrap_or_default();
        if !may_have.contains(&has) {
            self.violation(format!("{app} has {has} instances, not one of {may_have:?}"));
        }
    }
}

/// A task that runs: its app, and each place that it runs in.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    pub(super) app: String,
    pub(super) sandboxes: BTreeSet<PathBuf>,
}

/// The tasks of a campaign that run on this machine, by id. No task may run in
/// two sandboxes.
pub(super) fn tasks(campaign: &str) -> BTreeMap<String, Task> {
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    for process in processes::all() {
        let is_shim = process.args.get(1).is_some_and(|arg| arg == "shim");
        let ours = process.env.get(MARK).is_some_and(|found| found == campaign);
        let (Some(id), true, false) = (process.env.get("MESOS_TASK_ID"), ours, is_shim) else {
            continue;
        };
        let task = tasks.entry(id.clone()).or_default();
        task.app = process.env.get("MARATHON_APP_ID").cloned().unwrap_or_default();
        task.sandboxes.insert(process.env.get("MESOS_SANDBOX").map_or(process.cwd, PathBuf::from));
    }
    tasks
}

#[cfg(test)]
mod tests;
