//! Picks up what an earlier process of this agent left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::Arc;

use karman_api::mesos::v1::{FrameworkInfo, TaskStatus};
use karman_rt::time::now_ms;
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::{Core, Entry, Event};
use crate::drain::Drain;
use crate::driver;
use crate::lifecycle::{self, Container, Ended, Goal, Phase, StopCause};
use crate::meta::{self, Found, FoundExecutor, NestedRecord, Write};
use crate::recover::{self, Action, Facts};
use crate::settings::Settings;
use crate::shim::records::{Claim, Kill, RunDir, Stored};

/// What lies on the disk.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) agent_id: Option<String>,
    runs: Vec<(Found, Facts)>,
    frameworks: BTreeMap<String, FrameworkInfo>,
    drain: Option<Drain>,
    held: Option<meta::Held>,
    /// Groups of which all tasks are on record.
    groups: BTreeSet<String>,
    executors: Vec<(FoundExecutor, Facts)>,
    nested: Vec<NestedRecord>,
}

impl Restored {
    /// Reads the checkpoints and looks at the processes they name.
    pub(crate) fn load(settings: &Settings) -> io::Result<Self> {
        let work_dir = &settings.work_dir;
        let mut restored = Self { agent_id: meta::load_agent_id(work_dir), ..Self::default() };
        let boot_id = meta::load_boot_id(work_dir)?;
        if let Some(agent_id) = &restored.agent_id {
            restored.drain = meta::load_drain(&settings.meta(agent_id))?;
            restored.held = meta::load_held(&settings.meta(agent_id))?;
            restored.nested = meta::load_nested(&settings.meta(agent_id))?;
        }
        let same_boot = boot_id.as_ref().is_none_or(|boot_id| *boot_id == settings.boot_id);
        let mut containers = BTreeSet::new();
        for folder in meta::agents(work_dir)? {
            restored.frameworks.extend(meta::load_frameworks(&folder)?);
            let (mut known, mut grouped) = (BTreeSet::new(), BTreeSet::new());
            for found in meta::load_runs(&folder)? {
                let run = settings.run_dir(&found.record.agent_id, &found.record.container_id);
                let facts = facts(&run, &found, same_boot);
                known.insert(found.record.container_id.clone());
                grouped.extend(found.record.group().map(ToOwned::to_owned));
                restored.runs.push((found, facts));
            }
            for found in meta::load_executors(&folder)? {
                let record = &found.record;
                let run = settings.executor_dir(&record.agent_id, &record.container_id);
                let facts = process_facts(&run, same_boot);
                known.insert(record.container_id.clone());
                restored.executors.push((found, facts));
            }
            let (kept, over): (BTreeSet<_>, BTreeSet<_>) =
                meta::load_groups(&folder)?.into_iter().partition(|it| grouped.contains(it));
            restored.groups.extend(kept);
            over.iter().for_each(|group| meta::forget_group(&folder, group));
            let agent_id = folder.file_name().and_then(|name| name.to_str());
            if let (Some(hierarchy), Some(agent_id)) = (&settings.hierarchy, agent_id) {
                hierarchy.sweep(agent_id, &known);
            }
            containers.append(&mut known);
        }
        driver::sweep(settings, &containers);
        if boot_id.as_ref() != Some(&settings.boot_id) {
            meta::save_boot_id(work_dir, &settings.boot_id)?;
        }
        Ok(restored)
    }
}

fn facts(run: &RunDir, found: &Found, same_boot: bool) -> Facts {
    Facts {
        reported: found.updates.last().map(|(status, _)| status.state()),
        acknowledged: found.updates.iter().all(|(_, acknowledged)| *acknowledged),
        ..process_facts(run, same_boot)
    }
}

/// Of which nothing was reported.
fn process_facts(run: &RunDir, same_boot: bool) -> Facts {
    let claim = record::<Claim>(&run.claim());
    Facts {
        same_boot,
        reported: None,
        acknowledged: true,
        killed: run
            .kill()
            .exists()
            .then(|| record::<Kill>(&run.kill()).map_or(StopCause::Asked, |kill| kill.cause)),
        claimed: claim.is_some(),
        shim_exists: same_boot && claim.is_some_and(|claim| claim.shim.exists()),
        executed: run.running().exists(),
        exit: record(&run.exit()),
    }
}

fn record<T: DeserializeOwned>(path: &std::path::Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    serde_json::from_slice::<Stored<T>>(&bytes).ok().map(Stored::newest)
}

impl Core {
    pub(super) fn restore(&mut self, restored: Restored) {
        let Restored { agent_id: _, runs, frameworks, drain, held, groups, executors, nested } =
            restored;
        self.drain = drain;
        self.frameworks =
            frameworks.into_iter().map(|(id, framework)| (id, Arc::new(framework))).collect();
        let count = runs.len();
        for (found, facts) in runs {
            self.restore_one(found, facts);
        }
        let mut todo = std::mem::take(&mut self.restored);
        self.restore_customs(now_ms(), executors, &mut todo);
        self.restore_nested(nested, &mut todo);
        self.restored = todo;
        let used = |framework: &String| {
            let mut keys = self.by_task.keys().chain(self.customs.keys());
            keys.any(|(other, _)| other == framework)
        };
        let unused: Vec<String> = self.frameworks.keys().filter(|id| !used(id)).cloned().collect();
        for id in unused {
            self.frameworks.remove(&id);
        }
        let mut todo = std::mem::take(&mut self.restored);
        self.restore_groups(now_ms(), &groups, &mut todo);
        self.restore_holding(held, &mut todo);
        self.empty_trash(vec![self.settings.work_dir.join("volumes")]);
        self.go_on_leaving(now_ms(), &mut todo);
        self.restored = todo;
        if count > 0 {
            info!(tasks = count, "tasks of an earlier process of this agent found");
        }
    }

    fn restore_one(&mut self, found: Found, facts: Facts) {
        let Found { record, updates } = found;
        let run = self.settings.run_dir(&record.agent_id, &record.container_id);
        let (action, phase, goal) = recover::recover(facts);
        let mut todo = std::mem::take(&mut self.restored);
        let framework = self.frameworks.get(&record.framework_id).cloned();
        if framework.is_none() {
            warn!(framework_id = record.framework_id, "checkpoint of a framework is missing");
        }
        match (action, framework) {
            (Action::Forget, _) => todo.write(&run, Write::Forget),
            (action, framework) => {
                let framework = framework.unwrap_or_else(|| {
                    let id = Some(karman_api::mesos::v1::FrameworkId {
                        value: record.framework_id.clone(),
                    });
                    Arc::new(FrameworkInfo { id, ..FrameworkInfo::default() })
                });
                let group = self.settings.hierarchy.as_ref().filter(|_| !record.is_hosted());
                let group =
                    group.map(|hierarchy| hierarchy.group(&record.agent_id, &record.container_id));
                let executor = record.member.as_ref().map(|member| &member.executor);
                let hosted = record.is_hosted();
                let planned =
                    if hosted { None } else { self.plan(&record, &framework, executor, None).ok() };
                let phase = if hosted { told_phase(phase, &updates) } else { phase };
                let mut entry = Entry::new(record, run, group, planned, &framework);
                entry.machine = Container::restored(entry.machine.traits().clone(), phase, goal);
                for (status, acknowledged) in updates {
                    entry.view_mut().push(status.clone());
                    entry.updates.push(status.clone());
                    if acknowledged {
                        entry.updates.acknowledge(status.uuid.as_deref().unwrap_or_default());
                    }
                }
                let id = entry.record.container_id.clone();
                self.by_task.insert(entry.key(), id.clone());
                if phase != Phase::Terminal {
                    entry.count();
                    self.used = self.used.clone() + &entry.resources;
                    self.restore_executor(&entry.record);
                }
                if !hosted {
                    resume(&mut todo, &entry, action, goal);
                }
                let healthy = entry.view.healthy;
                self.containers.insert(id.clone(), entry);
                if phase == Phase::Running {
                    self.start_checks(&id, now_ms(), Some(healthy));
                }
            }
        }
        self.restored = todo;
    }
}

/// Where a task is of which its executor says where it is.
fn told_phase(phase: Phase, updates: &[(TaskStatus, bool)]) -> Phase {
    let last = updates.last().map(|(status, _)| status.state());
    last.map_or(phase, lifecycle::phase_of)
}

/// Sets going what is left to do for one container.
fn resume(todo: &mut super::Todo, entry: &Entry, action: Action, goal: Goal) {
    let container_id = entry.record.container_id.clone();
    let ended = |ended| Event::Container {
        container_id: container_id.clone(),
        event: lifecycle::Event::Ended(ended),
    };
    if let Goal::Stop(cause) = goal
        && action == Action::Watch
    {
        // The earlier process may have ended between leaving word and waking
        // the shim.
        entry.stop.cancel();
        let grace_ms = record::<Kill>(&entry.run.kill())
            .map_or_else(|| entry.grace_ms(), |kill| kill.grace_ms);
        todo.kills.push((entry.run.clone(), Kill { grace_ms, cause, quiet: false }));
    }
    match action {
        Action::Forget | Action::Deliver => {}
        // The driver reads the record of the end, if there is one.
        Action::Conclude(_) | Action::Vanished | Action::Watch => todo.watches.push(entry.job()),
        Action::Reboot => todo.events.push(ended(Ended::Rebooted)),
        Action::Launch => match &entry.plan {
            Some(plan) => todo.launches.push((entry.job(), Arc::clone(plan))),
            None => todo
                .events
                .push(ended(Ended::Unrecorded { reason: "the task cannot run here".into() })),
        },
    }
}
