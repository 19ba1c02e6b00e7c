//! One task as the master knows it.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::resource::Resources;

/// The statuses of a task that are kept, the last of each state.
const STATUSES_MAX: usize = 16;

#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub role: Arc<str>,
    pub info: Arc<v1::TaskInfo>,
    /// On the account of the role.
    pub resources: Resources,
    /// What is true now; may be ahead of what the framework has heard.
    pub state: TaskState,
    /// What the framework was told last, or is to acknowledge.
    pub told: Option<v1::TaskStatus>,
    /// The first unacknowledged status with an id to acknowledge it by.
    pub unacknowledged: bool,
    /// By time, without their ids and payloads.
    pub statuses: Vec<v1::TaskStatus>,
    /// The framework wants it killed; said again when its agent comes back.
    pub kill: Option<Option<v1::KillPolicy>>,
}

pub const fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown => false,
    }
}

impl Task {
    pub fn is_terminal(&self) -> bool {
        is_terminal(self.state)
    }

    /// The state that the framework has heard of.
    pub fn told_state(&self) -> TaskState {
        self.told.as_ref().map_or(self.state, v1::TaskStatus::state)
    }

    /// Keeps the status for readers.
    pub fn remember(&mut self, status: &v1::TaskStatus) {
        let mut status = status.clone();
        status.uuid = None;
        status.data = None;
        // Health changes repeat a state: only the last of each is kept.
        self.statuses.retain(|old| old.state != status.state);
        if self.statuses.len() >= STATUSES_MAX {
            self.statuses.remove(0);
        }
        self.statuses.push(status);
    }

    /// As the operator API shows it.
    pub fn to_wire(&self) -> v1::Task {
        let info = &*self.info;
        v1::Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: (&self.framework).into(),
            executor_id: info.executor.as_ref().map(|executor| executor.executor_id.clone()),
            agent_id: (&self.agent).into(),
            state: self.state.into(),
            resources: convert::resources_to_wire(&self.resources, Format::Refined),
            statuses: self.statuses.clone(),
            status_update_state: self.told.as_ref().map(|status| status.state),
            status_update_uuid: self
                .told
                .as_ref()
                .filter(|_| self.unacknowledged)
                .and_then(|status| status.uuid.clone()),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone(),
            health_check: info.health_check.clone(),
            kill_policy: info.kill_policy,
            user: info.command.as_ref().and_then(|command| command.user.clone()),
            limits: info.limits.clone(),
        }
    }
}
