//! RECONCILE: what the master knows of tasks.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::call;
use karman_api::mesos::v1::task_status::{Reason, Source};
use karman_api::mesos::v1::{OperationState, TaskState};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::time::Timestamp;

use super::status::{Verdict, precise};
use super::{Framework, Ledger, Presence, Task};

impl Ledger {
    pub(super) fn reconcile(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        reconcile: &call::Reconcile,
    ) {
        let Some(owner) = self.frameworks.get(framework).cloned() else { return };
        let statuses: Vec<v1::TaskStatus> = if reconcile.tasks.is_empty() {
            let known = owner.tasks.values().chain(owner.unreachable.values());
            known.map(|task| self.known(now, &owner, task)).collect()
        } else {
            reconcile.tasks.iter().filter_map(|asked| self.answer(now, &owner, asked)).collect()
        };
        for status in statuses {
            self.send_status(framework, status);
        }
    }

    fn answer(
        &self,
        now: Timestamp,
        owner: &Framework,
        asked: &call::reconcile::Task,
    ) -> Option<v1::TaskStatus> {
        let id = TaskId::from(&asked.task_id);
        if let Some(task) = owner.task(&id) {
            return Some(self.known(now, owner, task));
        }
        let agent = asked.agent_id.as_ref().map(AgentId::from);
        let presence =
            agent.as_ref().map(|agent| self.agents.get(agent).map(|agent| agent.presence));
        let (state, message, since) = match presence {
            // Nobody can know yet: silence makes the framework ask again.
            Some(Some(Presence::Recovered)) => return None,
            None if self.awaits_agents() => return None,
            Some(Some(Presence::Registered | Presence::Disconnected)) => {
                (TaskState::TaskGone, "the agent does not know the task", None)
            }
            Some(Some(Presence::Unreachable { since })) => {
                (TaskState::TaskUnreachable, "the agent cannot be reached", Some(since))
            }
            Some(None) if self.is_gone(asked.agent_id.as_ref()) => {
                (TaskState::TaskGoneByOperator, "the agent was removed by an operator", None)
            }
            Some(None) | None => (TaskState::TaskUnknown, "the task is not known", None),
        };
        let state = precise(owner.capabilities, state);
        let mut status =
            Verdict::new(state, Reason::Reconciliation, message).status(now, &id, agent.as_ref());
        status.unreachable_time = since.map(|since| v1::TimeInfo { nanoseconds: since.as_nanos() });
        Some(status)
    }

    /// The state that the framework is to acknowledge or has been told.
    fn known(&self, now: Timestamp, owner: &Framework, task: &Arc<Task>) -> v1::TaskStatus {
        let base = task.told().unwrap_or_default();
        let mut state = task.told_state();
        let mut unreachable_time = None;
        if owner.unreachable.contains_key(&task.id)
            && let Some(Presence::Unreachable { since }) =
                self.agents.get(&task.agent).map(|agent| agent.presence)
        {
            state = precise(owner.capabilities, TaskState::TaskUnreachable);
            unreachable_time = Some(v1::TimeInfo { nanoseconds: since.as_nanos() });
        }
        v1::TaskStatus {
            task_id: (&task.id).into(),
            state: state.into(),
            message: Some("Reconciliation: Latest task state".to_owned()),
            source: Some(Source::Master.into()),
            reason: Some(Reason::Reconciliation.into()),
            agent_id: Some((&task.agent).into()),
            timestamp: Some(now.as_secs_f64()),
            uuid: None,
            unreachable_time,
            ..base
        }
    }

    pub(super) fn reconcile_operations(
        &mut self,
        framework: &FrameworkId,
        reconcile: call::ReconcileOperations,
    ) {
        let statuses = if reconcile.operations.is_empty() {
            self.known_operations(framework, None)
        } else {
            let asked = reconcile.operations.into_iter();
            asked.flat_map(|asked| self.operation_statuses(framework, asked)).collect()
        };
        for status in statuses {
            self.send_operation_status(framework, status);
        }
    }

    fn is_gone(&self, agent: Option<&v1::AgentId>) -> bool {
        agent.is_some_and(|agent| self.registry.gone.contains_key(agent.value.as_str()))
    }

    /// Of an operation that is not known, what is said follows from its agent.
    fn operation_statuses(
        &self,
        framework: &FrameworkId,
        asked: call::reconcile_operations::Operation,
    ) -> Vec<v1::OperationStatus> {
        let call::reconcile_operations::Operation { operation_id, agent_id, resource_provider_id } =
            asked;
        let known = self.known_operations(framework, Some(&(&operation_id).into()));
        if !known.is_empty() {
            return known;
        }
        let presence = agent_id
            .as_ref()
            .map(|agent| self.agents.get(&AgentId::from(agent)).map(|agent| agent.presence));
        let state = match presence {
            Some(Some(Presence::Recovered)) => OperationState::OperationRecovering,
            None if self.awaits_agents() => OperationState::OperationRecovering,
            Some(Some(Presence::Unreachable { .. })) => OperationState::OperationUnreachable,
            Some(None) if self.is_gone(agent_id.as_ref()) => {
                OperationState::OperationGoneByOperator
            }
            Some(Some(Presence::Registered | Presence::Disconnected) | None) | None => {
                OperationState::OperationUnknown
            }
        };
        let message = match state {
            OperationState::OperationUnknown => "the operation is not known",
            _awaited => "the agent of the operation is not there",
        };
        vec![v1::OperationStatus {
            operation_id: Some(operation_id),
            state: state.into(),
            message: Some(message.to_owned()),
            agent_id,
            resource_provider_id,
            ..Default::default()
        }]
    }
}
