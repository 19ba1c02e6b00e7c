//! The first page: is everything all right, and how full is it.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::deployments::{Deployment, deployments};
use super::services::{Row, row};
use super::{Bar, Snapshot, Tone, tasks};
use crate::wire::mesos::Resources;

/// Services listed on the page; all others are behind a link.
const SERVICES_MAX: usize = 12;

#[derive(Clone, Debug)]
pub struct Overview {
    pub bars: Vec<Bar>,
    pub nodes: usize,
    pub nodes_active: usize,
    pub services: usize,
    /// Services by what they do, most serious first: tone class, word, number.
    pub services_by_status: Vec<(Tone, String, usize)>,
    pub running: usize,
    /// Tasks that are not finished, by state.
    pub tasks_by_state: Vec<(Tone, String, usize)>,
    /// Those that need a look first.
    pub rows: Vec<Row>,
    pub more: usize,
    pub deployments: Vec<Deployment>,
}

pub fn overview(snapshot: &Snapshot) -> Overview {
    let total = |of: fn(&crate::wire::mesos::Slave) -> &Resources| {
        // What is not connected can neither be used nor offered.
        sum(snapshot.slaves.iter().filter(|slave| slave.active).map(of))
    };
    let mut rows: Vec<Row> = snapshot
        .apps
        .iter()
        .map(|app| row(snapshot, app, app.id.trim_start_matches('/')))
        .collect();
    let services_by_status =
        counted(rows.iter().map(|row| (row.badge.tone, row.badge.label.clone())));
    rows.sort_by(|a, b| (a.badge.tone, &a.id).cmp(&(b.badge.tone, &b.id)));
    let more = rows.len().saturating_sub(SERVICES_MAX);
    rows.truncate(SERVICES_MAX);
    let live = snapshot.tasks.iter().filter(|task| !task.is_terminal());
    Overview {
        bars: Bar::all(
            &total(|slave| &slave.used_resources),
            &total(|slave| &slave.offered_resources),
            &total(|slave| &slave.resources),
        ),
        nodes: snapshot.slaves.len(),
        nodes_active: snapshot.slaves.iter().filter(|slave| slave.active).count(),
        services: snapshot.apps.len(),
        services_by_status,
        running: snapshot.tasks.iter().filter(|task| task.state == "TASK_RUNNING").count(),
        tasks_by_state: counted(live.map(|task| {
            let badge = tasks::state(&task.state);
            (badge.tone, badge.label)
        })),
        rows,
        more,
        deployments: deployments(snapshot),
    }
}

fn sum<'a>(all: impl Iterator<Item = &'a Resources>) -> Resources {
    all.fold(Resources::default(), |sum, one| Resources {
        cpus: sum.cpus + one.cpus,
        mem: sum.mem + one.mem,
        disk: sum.disk + one.disk,
        gpus: sum.gpus + one.gpus,
        ports: String::new(),
    })
}

fn counted(all: impl Iterator<Item = (Tone, String)>) -> Vec<(Tone, String, usize)> {
    let mut counts: BTreeMap<(Tone, String), usize> = BTreeMap::new();
    for key in all {
        *counts.entry(key).or_default() += 1;
    }
    counts.into_iter().map(|((tone, word), count)| (tone, word, count)).collect()
}
