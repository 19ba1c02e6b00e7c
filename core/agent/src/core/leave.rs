//! How tasks leave this agent other than by a KILL of their own: it is drained,
//! removed, or their executor is shut down.

use tracing::{debug, error, info};

use karman_api::mesos::v1::DrainConfig;

use super::custom::Custom;
use super::{Core, Entry, Membership, Todo};
use crate::drain::Drain;
use crate::lifecycle::{Event, Phase, StopCause};

impl Core {
    /// Take no tasks and end those that are here, or take them again.
    pub(super) fn drain(&mut self, now_ms: u64, config: Option<DrainConfig>, todo: &mut Todo) {
        let drain = Drain::ordered(self.drain.as_ref(), config, now_ms);
        if drain == self.drain {
            return;
        }
        match &drain {
            Some(drain) => info!(mark_gone = drain.config.mark_gone(), "this agent is drained"),
            None => info!("this agent takes tasks again"),
        }
        todo.drain = Some(drain.clone());
        self.drain = drain;
        self.drain_all(now_ms, todo);
    }

    fn drain_all(&mut self, now_ms: u64, todo: &mut Todo) {
        let Some(drain) = self.drain.clone() else { return };
        for id in self.living(|_| true) {
            let Some(entry) = self.containers.get(&id) else { continue };
            let grace_ms = drain.grace_ms(entry.grace_ms());
            self.container(now_ms, &id, Event::Stop { cause: drain.cause(), grace_ms }, todo);
        }
        self.end_customs(now_ms, |custom| custom.is_idle(), todo);
    }

    /// The master has removed this agent for ever.
    pub(super) fn removed(&mut self, now_ms: u64, reason: String, todo: &mut Todo) {
        error!(
            agent_id = self.agent_id,
            reason,
            "the master removed this agent for ever: its tasks are ended and no master is called \
             any more; restart it to register as a new agent"
        );
        todo.removed = self.agent_id.take();
        (self.outgoing, self.master, self.drain) = (None, None, None);
        self.silence(now_ms, |_| true, todo);
        self.silence_customs(now_ms, |_| true, todo);
        self.membership.send_replace(Membership::Rejected { reason });
    }

    /// What an earlier process of this agent had begun.
    pub(super) fn go_on_leaving(&mut self, now_ms: u64, todo: &mut Todo) {
        self.drain_all(now_ms, todo);
        let current = self.agent_id.clone();
        // The master that gave the other id takes them for lost.
        self.silence(now_ms, |entry| Some(&entry.record.agent_id) != current.as_ref(), todo);
        let is_void = |agent_id: &str| Some(agent_id) != current.as_deref();
        self.silence_customs(now_ms, |custom| is_void(custom.agent_id()), todo);
    }

    /// Ends tasks of which nobody wants to hear.
    pub(super) fn silence(&mut self, now_ms: u64, which: impl Fn(&Entry) -> bool, todo: &mut Todo) {
        let ids: Vec<String> = self
            .containers
            .iter()
            .filter(|(_, entry)| which(entry))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let Some(entry) = self.containers.get_mut(&id) else { continue };
            entry.silent = true;
            let stop = Event::Stop { cause: StopCause::Asked, grace_ms: entry.grace_ms() };
            self.container(now_ms, &id, stop, todo);
            self.settle(&id, todo);
        }
    }

    /// Ends all tasks of an executor; a command has one by the name of its
    /// task.
    pub(super) fn shut_down_executor(
        &mut self,
        now_ms: u64,
        framework: &str,
        executor: &str,
        todo: &mut Todo,
    ) {
        let ids = self.living(|entry| {
            entry.record.framework_id == framework && entry.record.executor_id() == executor
        });
        info!(framework_id = framework, executor_id = executor, tasks = ids.len(), "shut down");
        let is_it = |custom: &Custom| custom.is_named(framework, executor);
        if self.end_customs(now_ms, is_it, todo) > 0 {
            return;
        }
        for id in ids {
            let Some(entry) = self.containers.get(&id) else { continue };
            let stop = Event::Stop { cause: StopCause::Asked, grace_ms: entry.grace_ms() };
            self.container(now_ms, &id, stop, todo);
        }
    }

    /// A command reads no messages, and neither does an executor that is away.
    pub(super) fn drop_message(&mut self, framework: &str, executor: &str) {
        self.messages_dropped += 1;
        debug!(
            framework_id = framework,
            executor_id = executor,
            "a message that no executor reads is dropped"
        );
    }

    /// The containers that have not ended, of those.
    pub(super) fn living(&self, which: impl Fn(&Entry) -> bool) -> Vec<String> {
        let living = self
            .containers
            .iter()
            .filter(|(_, entry)| entry.machine.phase() < Phase::Terminal && which(entry));
        living.map(|(id, _)| id.clone()).collect()
    }
}
