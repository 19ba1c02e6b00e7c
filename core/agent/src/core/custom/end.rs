//! How executors end, and what becomes of their tasks.

use tracing::info;

use super::{Custom, Event};
use crate::admit::Refusal;
use crate::core::{Core, Todo};
use crate::executors::{self, Phase};
use crate::lifecycle::{self, Abandoned, Ended, StopCause};
use crate::meta::Write;
use crate::shim::records::{Cause, Exit, Kill};
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::Reason;

/// Where waitpid(2) has nothing to say.
pub(super) const NO_STATUS: i32 = -1;

impl Core {
    /// What happens to its container happens to it.
    pub(in crate::core) fn custom_happened(
        &mut self,
        now_ms: u64,
        key: &(String, String),
        event: lifecycle::Event,
        todo: &mut Todo,
    ) {
        match event {
            lifecycle::Event::Started => {
                self.custom(now_ms, key, Event::Started, todo);
                self.resize(key, todo);
            }
            lifecycle::Event::Ended(ended) => self.custom_ended(now_ms, key, ended, todo),
            lifecycle::Event::Prepared
            | lifecycle::Event::Stop { .. }
            | lifecycle::Event::Told(_) => {}
        }
    }

    fn custom_ended(&mut self, now_ms: u64, key: &(String, String), ended: Ended, todo: &mut Todo) {
        let Some(mut custom) = self.customs.remove(key) else { return };
        self.custom_of.remove(custom.container_id());
        let (mut abandoned, status) = last_words(&custom, ended);
        custom.machine.apply(now_ms, Event::Ended);
        info!(
            framework_id = key.0,
            executor_id = key.1,
            status,
            message = abandoned.message,
            "executor ended"
        );
        self.used = self.used.saturating_sub(&custom.resources);
        self.end_inside(&[custom.container_id().to_owned()], todo);
        if custom.machine.phase() == Phase::Ended && custom.silent {
            abandoned.wanted = true;
        }
        for id in self.hosted_by(custom.container_id()) {
            let ended = Ended::Abandoned(abandoned.clone());
            self.container(now_ms, &id, lifecycle::Event::Ended(ended), todo);
        }
        todo.write(&custom.run, Write::Forget);
        if !custom.silent {
            todo.executors_ended.push((key.clone(), status));
        }
        self.release_framework(&key.0, &custom.record.agent_id);
    }

    /// The tasks of an executor, by their containers.
    fn hosted_by(&self, container_id: &str) -> Vec<String> {
        self.living(|entry| entry.record.is_hosted() && entry.record.root().0 == container_id)
    }

    /// A task that was never handed over.
    pub(super) fn spare(
        &mut self,
        now_ms: u64,
        key: &(String, String),
        task: &str,
        todo: &mut Todo,
    ) {
        let Some(id) = self.by_task.get(&(key.0.clone(), task.to_owned())).cloned() else { return };
        let refusal = Refusal {
            state: TaskState::TaskKilled,
            reason: Reason::TaskKilledDuringLaunch,
            message: "Killed before it was handed over to its executor".into(),
        };
        let ended = lifecycle::Event::Ended(Ended::Refused(refusal));
        self.container(now_ms, &id, ended, todo);
    }

    /// One task of an executor has ended.
    pub(in crate::core) fn left_custom(&mut self, now_ms: u64, id: &str, todo: &mut Todo) {
        let Some(entry) = self.containers.get(id) else { return };
        let key = (entry.record.framework_id.clone(), entry.record.executor_id().to_owned());
        let task = entry.record.task.task_id.value.clone();
        self.custom(now_ms, &key, Event::Told { task, over: true }, todo);
        self.resize(&key, todo);
        if self.drain.is_some() {
            self.end_customs(now_ms, |custom| custom.is_idle(), todo);
        }
    }

    /// A KILL; repeated, it is passed on again.
    pub(in crate::core) fn kill_one_hosted(
        &mut self,
        now_ms: u64,
        id: &str,
        grace_ms: u64,
        said: bool,
        todo: &mut Todo,
    ) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        entry.machine.apply(lifecycle::Event::Stop { cause: StopCause::Asked, grace_ms });
        self.kill_hosted(now_ms, id, said.then_some(grace_ms), todo);
    }

    pub(in crate::core) fn kill_hosted(
        &mut self,
        now_ms: u64,
        id: &str,
        grace_ms: Option<u64>,
        todo: &mut Todo,
    ) {
        let Some(entry) = self.containers.get(id) else { return };
        let key = (entry.record.framework_id.clone(), entry.record.executor_id().to_owned());
        let task = entry.record.task.task_id.value.clone();
        self.custom(now_ms, &key, Event::Kill { task, grace_ms }, todo);
    }

    /// Shuts those executors down; how many there are.
    pub(in crate::core) fn end_customs(
        &mut self,
        now_ms: u64,
        which: impl Fn(&Custom) -> bool,
        todo: &mut Todo,
    ) -> usize {
        let all = self.customs.iter().filter(|(_, custom)| which(custom));
        let keys: Vec<_> = all.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            let Some(custom) = self.customs.get(key) else { continue };
            let grace_ms = executors::grace_ms(&custom.record.executor);
            self.custom(now_ms, key, Event::Shutdown { grace_ms }, todo);
        }
        keys.len()
    }

    /// The same for those of which nobody wants to hear.
    pub(in crate::core) fn silence_customs(
        &mut self,
        now_ms: u64,
        which: impl Fn(&Custom) -> bool,
        todo: &mut Todo,
    ) {
        for custom in self.customs.values_mut().filter(|custom| which(custom)) {
            custom.silent = true;
        }
        self.end_customs(now_ms, |custom| custom.silent, todo);
    }

    pub(super) fn end_process(
        &mut self,
        key: &(String, String),
        grace_ms: u64,
        quiet: bool,
        todo: &mut Todo,
    ) {
        let Some(custom) = self.customs.get(key) else { return };
        custom.stop.cancel();
        let kill = Kill { grace_ms, cause: StopCause::Asked, quiet };
        todo.kills.push((custom.run.clone(), kill));
    }
}

/// What is said of its tasks, and its status as waitpid(2) has it.
fn last_words(custom: &Custom, ended: Ended) -> (Abandoned, i32) {
    let (reason, message, wanted) = custom.machine.end();
    let blank = |exit| Abandoned { reason, message: message.clone(), wanted, exit };
    match ended {
        Ended::Recorded { exit: Exit { cause: Cause::NotStarted(why), .. }, .. }
        | Ended::Unrecorded { reason: why } => {
            let message = format!("The executor could not be started: {why}");
            let reason = Reason::ContainerLaunchFailed;
            (Abandoned { reason, message, wanted, exit: None }, NO_STATUS)
        }
        Ended::Recorded { exit, .. } => {
            let status = wait_status(&exit.cause);
            (blank(Some(exit)), status)
        }
        Ended::Rebooted => {
            let message = "The machine was restarted".to_owned();
            (Abandoned { reason: Reason::AgentRestarted, message, ..blank(None) }, NO_STATUS)
        }
        Ended::Refused(_) | Ended::Abandoned(_) => (blank(None), NO_STATUS),
    }
}

/// As waitpid(2) has it.
pub(in crate::core) fn wait_status(cause: &Cause) -> i32 {
    match cause {
        Cause::Status(status) => (status & 0xff) << 8,
        Cause::Signal(signal) => signal & 0x7f,
        Cause::NotStarted(_) | Cause::NeverStarted => NO_STATUS,
    }
}
