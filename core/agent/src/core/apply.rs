//! What each event changes. Decides nothing about processes: that is the
//! lifecycle's.

use std::sync::Arc;

use karman_api::mesos::v1::TaskStatus;
use karman_api::mesos::v1::task_status::Reason;

use super::status;
use super::{COMPLETED_MAX, Core, Event, Todo};
use crate::checks::{self, Checker};
use crate::lifecycle::{self, Effect, Phase, StopCause};
use crate::meta::{Line, Write};
use crate::probe::{self, Kind, Surroundings};
use crate::shim::records::Kill;

/// Updates of one task after which its checkpoint may be worth a rewrite.
const LINES_MAX: usize = 64;

impl Core {
    pub(super) fn apply(&mut self, now_ms: u64, event: Event, todo: &mut Todo) {
        match event {
            Event::Session(change) => self.session(now_ms, change, todo),
            Event::Container { container_id, event } => {
                self.container(now_ms, &container_id, event, todo);
            }
            Event::Running { container_id, shim_pid, task_pid } => {
                self.custom_runs(&container_id, shim_pid, task_pid);
                if let Some(entry) = self.containers.get_mut(&container_id) {
                    let view = entry.view_mut();
                    (view.shim_pid, view.task_pid) = (Some(shim_pid), Some(task_pid));
                }
            }
            Event::Checked { container_id, kind, effect } => {
                self.checked(now_ms, &container_id, kind, effect, todo);
            }
            Event::Nested(ask) => self.nested_asked(*ask, todo),
            Event::Executor(asked) => self.executor_asked(now_ms, *asked, todo),
            Event::ExecutorHungUp { container_id, stream } => {
                self.hung_up(now_ms, &container_id, stream, todo);
            }
            Event::Tick => {
                todo.all_updated = true;
                self.look_at_customs(now_ms, todo);
            }
        }
    }

    pub(super) fn container(
        &mut self,
        now_ms: u64,
        id: &str,
        event: lifecycle::Event,
        todo: &mut Todo,
    ) {
        if let Some(key) = self.custom_of.get(id).cloned() {
            return self.custom_happened(now_ms, &key, event, todo);
        }
        if self.nested_happened(id, &event) {
            return;
        }
        let Some(entry) = self.containers.get_mut(id) else { return };
        let before = entry.machine.phase();
        let effects = entry.machine.apply(event);
        let after = entry.machine.phase();
        let (mut reports, mut killed) = (Vec::new(), None);
        for effect in effects {
            match effect {
                Effect::Kill { grace_ms, .. } if entry.record.is_hosted() => {
                    killed = Some(grace_ms);
                }
                Effect::Kill { grace_ms, cause } => {
                    entry.stop.cancel();
                    let kill = Kill { grace_ms, cause, quiet: false };
                    todo.kills.push((entry.run.clone(), kill));
                }
                Effect::Report(report) => {
                    reports.push(status::of(&self.settings, entry, report, now_ms));
                }
            }
        }
        for status in reports {
            self.report(id, status, todo);
        }
        self.moved(now_ms, id, before, after, todo);
        if let Some(grace_ms) = killed {
            self.kill_hosted(now_ms, id, Some(grace_ms), todo);
        }
    }

    /// After the phase may have changed.
    pub(super) fn moved(
        &mut self,
        now_ms: u64,
        id: &str,
        before: Phase,
        after: Phase,
        todo: &mut Todo,
    ) {
        if before < Phase::Running && after == Phase::Running {
            self.start_checks(id, now_ms, None);
        }
        let Some(entry) = self.containers.get(id) else { return };
        if after >= Phase::Killing {
            // A task that is being ended is not asked how it is.
            entry.over.cancel();
        }
        if before < Phase::Terminal && after == Phase::Terminal {
            self.used = self.used.saturating_sub(&entry.resources);
            let (state, hosted) = (entry.view.state(), entry.record.is_hosted());
            if !hosted {
                let container = entry.record.container();
                self.end_inside(&crate::nested::path(&container).unwrap_or_default(), todo);
            }
            self.retire_volumes(todo);
            if hosted {
                self.left_custom(now_ms, id, todo);
            } else {
                self.left_group(now_ms, id, state, todo);
            }
            self.settle(id, todo);
        }
    }

    /// Keeps an update and has it delivered.
    pub(super) fn report(&mut self, id: &str, status: TaskStatus, todo: &mut Todo) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        entry.view_mut().push(status.clone());
        if entry.silent {
            return;
        }
        todo.write(&entry.run, Write::Line(Line::Status(Box::new(status.clone()))));
        entry.updates.push(status);
        entry.lines += 1;
        if entry.lines > LINES_MAX {
            entry.lines = 0;
            let remembered =
                entry.updates.remembered().map(|(status, done)| (status.clone(), done)).collect();
            todo.write(&entry.run, Write::Compact(remembered));
        }
        todo.updated.insert(id.to_owned());
    }

    /// Forgets a container that has ended and of which everything was heard.
    pub(super) fn settle(&mut self, id: &str, todo: &mut Todo) {
        let Some(entry) = self.containers.get(id) else { return };
        if entry.machine.phase() != Phase::Terminal
            || !(entry.silent || entry.updates.is_delivered())
        {
            return;
        }
        let Some(entry) = self.containers.remove(id) else { return };
        todo.write(&entry.run, Write::Forget);
        todo.updated.remove(id);
        if self.by_task.get(&entry.key()).is_some_and(|container| container == id) {
            self.by_task.remove(&entry.key());
        }
        if self.completed.len() >= COMPLETED_MAX {
            self.completed.pop_front();
        }
        self.completed.push_back(Arc::clone(&entry.view));
        self.forget_group(&entry);
        self.release_framework(&entry.record.framework_id, &entry.record.agent_id);
    }

    /// Forgets a framework of which nothing is here any more.
    pub(super) fn release_framework(&mut self, framework: &str, agent_id: &str) {
        let first = (framework.to_owned(), String::new());
        let is_its = |key: Option<&(String, String)>| key.is_some_and(|it| it.0 == framework);
        if is_its(self.by_task.range(first.clone()..).next().map(|(key, _)| key))
            || is_its(self.customs.range(first..).next().map(|(key, _)| key))
        {
            return;
        }
        self.frameworks.remove(framework);
        crate::meta::forget_framework(&self.settings.meta(agent_id), framework);
    }

    /// Starts the checks of a task that runs; `restored` is what an earlier
    /// process of this agent knew of its health.
    pub(super) fn start_checks(&mut self, id: &str, now_ms: u64, restored: Option<Option<bool>>) {
        let Some(entry) = self.containers.get(id).filter(|it| !it.record.is_hosted()) else {
            return;
        };
        let task = &entry.record.task;
        let specs = [
            (Kind::Health, task.health_check.as_deref().and_then(checks::health)),
            (Kind::Check, task.check.as_deref().and_then(checks::check)),
        ];
        for (kind, spec) in specs {
            let Some(spec) = spec else { continue };
            let checker = match restored {
                None => Checker::new(spec, now_ms),
                Some(healthy) => {
                    let started_ms = entry.view.running_ms().unwrap_or(now_ms);
                    Checker::restored(spec, started_ms, now_ms, healthy)
                }
            };
            let record = &entry.record;
            let surroundings = Surroundings {
                run: self.settings.run_dir(&record.agent_id, &record.container_id),
                shim: self.settings.shim.clone(),
            };
            let (events, over) = (self.events.clone(), entry.over.clone());
            self.tasks.spawn(
                "check",
                probe::run(id.to_owned(), kind, checker, surroundings, events, over),
            );
        }
    }

    fn checked(
        &mut self,
        now_ms: u64,
        id: &str,
        kind: Kind,
        effect: checks::Effect,
        todo: &mut Todo,
    ) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        if entry.machine.phase() != Phase::Running {
            return;
        }
        let reason = match (kind, effect) {
            (_, checks::Effect::Kill) => {
                let event = lifecycle::Event::Stop {
                    cause: StopCause::Unhealthy,
                    grace_ms: entry.grace_ms(),
                };
                self.container(now_ms, id, event, todo);
                return;
            }
            (_, checks::Effect::Health { healthy }) => {
                entry.view_mut().healthy = Some(healthy);
                Reason::TaskHealthCheckStatusUpdated
            }
            (_, checks::Effect::Answer(answer)) => {
                let info = entry.record.task.check.clone().unwrap_or_default();
                entry.view_mut().check = Some(status::check(&info, answer));
                Reason::TaskCheckStatusUpdated
            }
        };
        let status = status::checked(&self.settings, entry, reason, now_ms);
        self.report(id, status, todo);
    }
}
