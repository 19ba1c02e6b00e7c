//! Agents that will not come back: those that an operator removed, and those of
//! which nothing was heard for so long that they are forgotten.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{OperationState, TaskState};
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::time::Timestamp;

use super::drain::unknown;
use super::status::{Verdict, precise};
use super::{Effect, Key, Ledger, Presence, Refusal, Timer};

/// Unreachable agents are remembered for so long.
pub const UNREACHABLE_AGE_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// So many unreachable agents are remembered, and so many that are gone; the
/// oldest are forgotten first.
pub const ABSENT_AGENTS_MAX: usize = 102_400;
/// How often the registry is looked through.
pub(super) const REGISTRY_INTERVAL: Duration = Duration::from_secs(15 * 60);

impl Ledger {
    pub(super) fn mark_gone(&mut self, now: Timestamp, id: &AgentId) -> Result<(), Refusal> {
        if self.agents.contains_key(id) {
            self.remove_for_ever(now, id);
            return Ok(());
        }
        if self.registry.gone.contains_key(id) { Ok(()) } else { Err(unknown()) }
    }

    /// An operator says that the agent is no more.
    pub(super) fn remove_for_ever(&mut self, now: Timestamp, id: &AgentId) {
        let reason = "the operator removed the agent for ever";
        let verdict = (TaskState::TaskGoneByOperator, Reason::AgentRemovedByOperator, reason);
        self.remove_agent(now, id, verdict);
    }

    /// Its tasks are over; it is told to shut down, now or when it comes back.
    pub(super) fn remove_agent(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        verdict: (TaskState, Reason, &str),
    ) {
        let (state, reason, message) = verdict;
        self.rescind_agent(id);
        self.tell(id, Body::Shutdown(session::Shutdown { reason: message.to_owned() }));
        let Some(agent) = self.agents.get(id).cloned() else { return };
        if agent.is_awaited() {
            self.recovered_one();
        }
        if let Some(session) = agent.session {
            self.sessions.remove(&session);
            self.effect(Effect::CloseSession(session));
        }
        if let Some(deadline) = agent.deadline {
            self.timers.clear(deadline, Timer::Absence(id.clone()));
        }
        for (framework, task) in self.tasks_of_agent(id) {
            self.conclude(now, id, &framework, &task, state, reason, message);
        }
        self.dismiss_all(id);
        self.lose_operations(id, OperationState::OperationGoneByOperator);
        self.allocator.remove_agent(id);
        self.agents.remove(id);
        self.note_metric("slave_removals/by_operator");
        self.forget_twin(&agent);
        Arc::make_mut(&mut self.registry.gone).insert(id.clone(), now);
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Gone(id.clone())));
        self.effect(Effect::Save(Key::Agent(id.clone())));
        self.tell_failure(id);
        self.prune_gone();
    }

    /// All tasks that the agent has or had when it was last heard of.
    fn tasks_of_agent(&self, id: &AgentId) -> Vec<(FrameworkId, TaskId)> {
        let here = self.agents.get(id).into_iter().flat_map(|agent| agent.tasks.iter().cloned());
        let lost = self.frameworks.values().flat_map(|framework| {
            let lost = framework.unreachable.values().filter(|task| task.agent == *id);
            lost.map(|task| (framework.id.clone(), task.id.clone()))
        });
        here.chain(lost).collect()
    }

    /// The master itself says how a task ended.
    #[expect(clippy::too_many_arguments, reason = "a sentence about one task")]
    fn conclude(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        framework: &FrameworkId,
        id: &TaskId,
        state: TaskState,
        reason: Reason,
        message: &str,
    ) {
        let Some(owner) = self.frameworks.get(framework) else { return };
        if !owner.tasks.get(id).is_some_and(|task| task.is_terminal()) {
            let state = precise(owner.capabilities, state);
            let mut status = Verdict::new(state, reason, message).status(now, id, Some(agent));
            if let Some(owner) = self.framework_mut(framework) {
                owner.change_task(id, |task| {
                    task.tell(&mut status);
                    task.unacknowledged = false;
                });
            }
            self.end_task(framework, id, state);
            self.send_status(framework, status);
        }
        self.complete_task(framework, id);
    }

    /// Forgets unreachable agents that are too old or too many.
    pub(super) fn registry_due(&mut self, now: Timestamp) {
        let mut absent: Vec<(Timestamp, AgentId)> = self
            .agents
            .values()
            .filter_map(|agent| match agent.presence {
                Presence::Unreachable { since } => Some((since, agent.id.clone())),
                Presence::Registered | Presence::Disconnected | Presence::Recovered => None,
            })
            .collect();
        absent.sort();
        let too_many = absent.len().saturating_sub(ABSENT_AGENTS_MAX);
        for (at, (since, id)) in absent.into_iter().enumerate() {
            if at < too_many || now.since(since) >= UNREACHABLE_AGE_MAX {
                self.forget_agent(&id);
            }
        }
        self.timers.set(now + REGISTRY_INTERVAL, Timer::Registry);
    }

    /// Nothing is known of it any longer; should it come back, it is welcome.
    fn forget_agent(&mut self, id: &AgentId) {
        for (framework, task) in self.tasks_of_agent(id) {
            self.complete_task(&framework, &task);
        }
        self.lose_operations(id, OperationState::OperationUnknown);
        self.agents.remove(id);
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Agent(id.clone())));
    }

    fn prune_gone(&mut self) {
        while self.registry.gone.len() > ABSENT_AGENTS_MAX {
            let oldest = self.registry.gone.iter().min_by_key(|(_, since)| **since);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { break };
            Arc::make_mut(&mut self.registry.gone).remove(&id);
            self.effect(Effect::Save(Key::Gone(id)));
        }
    }
}
