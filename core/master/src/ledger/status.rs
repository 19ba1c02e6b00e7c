//! Statuses that the master makes itself, and events that carry them.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::scheduler::{self, event};
use karman_api::mesos::v1::task_status::{Reason, Source};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::time::Timestamp;

use super::{Capabilities, Ledger, is_terminal};

/// What the master says about a task.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) state: TaskState,
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn new(state: TaskState, reason: Reason, message: impl Into<String>) -> Self {
        Self { state, reason, message: message.into() }
    }

    pub(super) fn status(
        self,
        now: Timestamp,
        task: &TaskId,
        agent: Option<&AgentId>,
    ) -> v1::TaskStatus {
        let Self { state, reason, message } = self;
        v1::TaskStatus {
            task_id: task.into(),
            state: state.into(),
            message: Some(message),
            source: Some(Source::Master.into()),
            reason: Some(reason.into()),
            agent_id: agent.map(Into::into),
            timestamp: Some(now.as_secs_f64()),
            ..Default::default()
        }
    }
}

/// The precise state for frameworks that understand it, `TASK_LOST` for others.
pub(super) const fn precise(capabilities: Capabilities, state: TaskState) -> TaskState {
    if capabilities.partition_aware { state } else { TaskState::TaskLost }
}

pub(super) fn event(kind: event::Type) -> scheduler::Event {
    scheduler::Event { r#type: Some(kind.into()), ..Default::default() }
}

pub(super) fn update(status: v1::TaskStatus) -> scheduler::Event {
    scheduler::Event { update: Some(event::Update { status }), ..event(event::Type::Update) }
}

pub(super) fn error(message: impl Into<String>) -> scheduler::Event {
    scheduler::Event {
        error: Some(event::Error { message: message.into() }),
        ..event(event::Type::Error)
    }
}

impl Ledger {
    /// Why a task is over, for metrics.
    pub(super) fn count_cause(&mut self, status: &v1::TaskStatus) {
        if is_terminal(status.state()) {
            let cause = (status.state, status.source().into(), status.reason().into());
            *self.counters.causes.entry(cause).or_default() += 1;
        }
    }

    pub(super) fn send_status(&mut self, framework: &FrameworkId, status: v1::TaskStatus) {
        if status.source() == Source::Master && status.reason() != Reason::Reconciliation {
            self.count_cause(&status);
        }
        self.send(framework, update(status));
    }
}
