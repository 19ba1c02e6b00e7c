//! One task as the master knows it.
//!
//! There may be a million of them: what was said about a task is kept as it
//! travels, encoded, and read again when somebody asks; what many tasks have in
//! common is shared.
#![deny(clippy::disallowed_methods)]

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_model::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use karman_model::resource::Resources;
use prost::Message as _;

/// The statuses of a task that are kept, the last of each state.
const STATUSES_MAX: usize = 16;

#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub role: Arc<str>,
    /// `None`: a command task, whose executor has the id of the task.
    pub executor: Option<ExecutorId>,
    info: Arc<[u8]>,
    /// On the account of the role; never changed.
    pub resources: Arc<Resources>,
    /// What is true now; may be ahead of what the framework has heard.
    pub state: TaskState,
    told: Option<Box<Told>>,
    /// The first unacknowledged status with an id to acknowledge it by.
    pub unacknowledged: bool,
    statuses: Vec<Status>,
    /// The framework wants it killed; said again when its agent comes back.
    pub kill: Option<Option<v1::KillPolicy>>,
    pub(crate) shown: Shown,
}

/// A status without what its task says already.
#[derive(Clone, Debug)]
struct Status {
    state: TaskState,
    body: Arc<[u8]>,
}

/// What the framework was told last, or is to acknowledge.
#[derive(Clone, Debug)]
struct Told {
    status: Status,
    uuid: Option<Box<[u8]>>,
    data: Option<Box<[u8]>>,
}

/// How readers are shown something, made when the first of them asks. Empty
/// again after every change and in copies.
#[derive(Default)]
pub(crate) struct Shown(OnceLock<Bytes>);

impl Shown {
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> Vec<u8>) -> &Bytes {
        // Without the room that the vector had to spare.
        self.0.get_or_init(|| Bytes::from(make().into_boxed_slice()))
    }

    pub(super) fn forget(&mut self) {
        self.0.take();
    }
}

impl Clone for Shown {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("bytes", &self.0.get().map(Bytes::len)).finish()
    }
}

pub const fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        // An agent that is gone never comes back.
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

impl Status {
    /// Leaves the status as it was.
    fn new(status: &mut v1::TaskStatus, agent: &AgentId) -> Self {
        let id = std::mem::take(&mut status.task_id);
        let (uuid, data) = (status.uuid.take(), status.data.take());
        let agent = status.agent_id.take_if(|id| id.value == agent.as_str());
        let body = status.encode_to_vec().into();
        if agent.is_some() {
            status.agent_id = agent;
        }
        status.task_id = id;
        (status.uuid, status.data) = (uuid, data);
        Self { state: status.state(), body }
    }

    fn read(&self, task: &Task) -> v1::TaskStatus {
        let status = v1::TaskStatus::decode(&*self.body);
        let mut status = status.expect("the master has encoded the status itself");
        status.task_id = (&task.id).into();
        status.agent_id.get_or_insert_with(|| (&task.agent).into());
        status
    }
}

impl Task {
    /// Not started yet.
    pub fn new(
        framework: FrameworkId,
        agent: AgentId,
        role: Arc<str>,
        info: &v1::TaskInfo,
        resources: Arc<Resources>,
    ) -> Self {
        let executor = info.executor.as_ref();
        Self {
            id: (&info.task_id).into(),
            framework,
            agent,
            role,
            executor: executor.map(|executor| (&executor.executor_id).into()),
            info: info.encode_to_vec().into(),
            resources,
            state: TaskState::TaskStaging,
            told: None,
            unacknowledged: false,
            statuses: Vec::new(),
            kill: None,
            shown: Shown::default(),
        }
    }

    /// The same task, with what it did not say of itself.
    pub(super) fn completed(
        self,
        info: &v1::TaskInfo,
        role: Arc<str>,
        resources: Arc<Resources>,
    ) -> Self {
        Self { info: info.encode_to_vec().into(), role, resources, ..self }
    }

    /// The task as it was launched.
    pub fn info(&self) -> v1::TaskInfo {
        v1::TaskInfo::decode(&*self.info).expect("the master has encoded the task itself")
    }

    /// The same, encoded.
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    /// The id of its executor, which is the task's own for command tasks.
    pub fn executor_id(&self) -> &str {
        self.executor.as_ref().map_or(self.id.as_str(), ExecutorId::as_str)
    }

    pub fn is_terminal(&self) -> bool {
        is_terminal(self.state)
    }

    /// What the framework was told last, or is to acknowledge.
    pub fn told(&self) -> Option<v1::TaskStatus> {
        let Told { status, uuid, data } = self.told.as_deref()?;
        let mut status = status.read(self);
        status.uuid = uuid.as_deref().map(Bytes::copy_from_slice);
        status.data = data.as_deref().map(Bytes::copy_from_slice);
        Some(status)
    }

    pub const fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// The state that the framework has heard of.
    pub fn told_state(&self) -> TaskState {
        self.told.as_ref().map_or(self.state, |told| told.status.state)
    }

    /// By what the last status is to be acknowledged.
    pub fn told_uuid(&self) -> Option<&[u8]> {
        self.told.as_ref()?.uuid.as_deref()
    }

    /// Notes what the framework is told, for readers too.
    pub fn tell(&mut self, status: &mut v1::TaskStatus) {
        let kept = Status::new(status, &self.agent);
        self.told = Some(Box::new(Told {
            status: kept.clone(),
            uuid: status.uuid.as_deref().map(Into::into),
            data: status.data.as_deref().map(Into::into),
        }));
        self.keep(kept);
    }

    /// Keeps the status for readers, without its id and payload.
    pub fn remember(&mut self, status: &mut v1::TaskStatus) {
        let kept = Status::new(status, &self.agent);
        self.keep(kept);
    }

    fn keep(&mut self, status: Status) {
        // Health changes repeat a state: only the last of each is kept.
        self.statuses.retain(|old| old.state != status.state);
        if self.statuses.len() >= STATUSES_MAX {
            self.statuses.remove(0);
        }
        if self.statuses.len() == self.statuses.capacity() {
            self.statuses.reserve_exact(1);
        }
        self.statuses.push(status);
    }

    /// Takes over what was known of the task before its agent came back.
    pub(super) fn inherit(&mut self, old: &Self) {
        self.kill = old.kill;
        if !old.statuses.is_empty() {
            self.statuses.clone_from(&old.statuses);
        }
    }

    /// By time, without their ids and payloads.
    pub fn statuses(&self) -> impl Iterator<Item = v1::TaskStatus> {
        self.statuses.iter().map(|status| status.read(self))
    }

    /// The same with their states, encoded.
    pub fn encoded_statuses(&self) -> impl Iterator<Item = (TaskState, &[u8])> {
        self.statuses.iter().map(|status| (status.state, &*status.body))
    }

    /// As the operator API shows it.
    pub fn to_wire(&self) -> v1::Task {
        let info = self.info();
        v1::Task {
            name: info.name,
            task_id: info.task_id,
            framework_id: (&self.framework).into(),
            executor_id: info.executor.map(|executor| executor.executor_id),
            agent_id: (&self.agent).into(),
            state: self.state.into(),
            resources: convert::resources_to_wire(&self.resources, Format::Refined),
            statuses: self.statuses().collect(),
            status_update_state: self.told.as_ref().map(|told| told.status.state.into()),
            status_update_uuid: self
                .told_uuid()
                .filter(|_| self.unacknowledged)
                .map(Bytes::copy_from_slice),
            labels: info.labels,
            discovery: info.discovery,
            container: info.container,
            health_check: info.health_check,
            kill_policy: info.kill_policy,
            user: info.command.and_then(|command| command.user),
            limits: info.limits,
        }
    }
}
