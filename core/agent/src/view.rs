//! What the agent shows of itself: immutable, replaced after each change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{CheckStatusInfo, FrameworkInfo, TaskState, TaskStatus};
use karman_model::resource::Resources;
use tokio::sync::watch;

use crate::cgroup::Group;
use crate::drain::Drain;
use crate::meta::{ExecutorRecord, Record};
use crate::shim::records::RunDir;

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) record: Arc<Record>,
    pub(crate) framework: Arc<FrameworkInfo>,
    pub(crate) group: Option<Group>,
    /// The newest update of each state, in order.
    pub(crate) statuses: Vec<TaskStatus>,
    pub(crate) healthy: Option<bool>,
    pub(crate) check: Option<CheckStatusInfo>,
    pub(crate) shim_pid: Option<u32>,
    pub(crate) task_pid: Option<u32>,
    running_ms: Option<u64>,
}

/// One executor that its framework brought along.
#[derive(Clone, Debug)]
pub(crate) struct ExecutorView {
    pub(crate) record: Arc<ExecutorRecord>,
    pub(crate) framework: Arc<FrameworkInfo>,
    pub(crate) group: Option<Group>,
    pub(crate) shim_pid: Option<u32>,
    pub(crate) task_pid: Option<u32>,
    /// Tasks that were not handed over yet.
    pub(crate) queued: BTreeSet<String>,
}

impl ExecutorView {
    pub(crate) fn new(
        record: Arc<ExecutorRecord>,
        framework: Arc<FrameworkInfo>,
        group: Option<Group>,
    ) -> Self {
        Self { record, framework, group, shim_pid: None, task_pid: None, queued: BTreeSet::new() }
    }
}

/// One container that an operator started inside of another.
#[derive(Clone, Debug)]
pub(crate) struct NestedView {
    /// The outermost first.
    pub(crate) path: Vec<String>,
    pub(crate) run: RunDir,
    pub(crate) state: watch::Receiver<NestedState>,
}

#[derive(Clone, Debug)]
pub(crate) enum NestedState {
    Starting,
    Running,
    Ended(Arc<NestedEnd>),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NestedEnd {
    /// As waitpid(2) has it.
    pub(crate) status: Option<i32>,
    pub(crate) state: Option<TaskState>,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
}

/// The whole agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) agent_id: Option<String>,
    /// The session URL of the master, while registered.
    pub(crate) master: Option<String>,
    pub(crate) frameworks: BTreeMap<String, Arc<FrameworkInfo>>,
    /// By container id; not forgotten yet.
    pub(crate) containers: BTreeMap<String, Arc<View>>,
    /// Executors that frameworks brought along, by container id.
    pub(crate) executors: BTreeMap<String, Arc<ExecutorView>>,
    /// Containers that operators started inside of others, by their paths.
    pub(crate) nested: BTreeMap<Vec<String>, Arc<NestedView>>,
    /// Forgotten, oldest first.
    pub(crate) completed: VecDeque<Arc<View>>,
    pub(crate) drain: Option<Drain>,
    /// All that the master says this agent has, once it did.
    pub(crate) held: Option<Arc<Resources>>,
    pub(crate) messages_dropped: u64,
}

impl Snapshot {
    /// Whether the task waits for its executor.
    pub(crate) fn is_queued(&self, view: &View) -> bool {
        let executor = self.executors.get(view.record.root().0);
        executor.is_some_and(|executor| executor.queued.contains(view.task_id()))
    }
}

impl View {
    pub(crate) fn new(
        record: Arc<Record>,
        framework: Arc<FrameworkInfo>,
        group: Option<Group>,
    ) -> Self {
        Self {
            record,
            framework,
            group,
            statuses: Vec::new(),
            healthy: None,
            check: None,
            shim_pid: None,
            task_pid: None,
            running_ms: None,
        }
    }

    pub(crate) fn push(&mut self, status: TaskStatus) {
        self.healthy = status.healthy.or(self.healthy);
        if status.check_status.is_some() {
            self.check.clone_from(&status.check_status);
        }
        if status.state() == TaskState::TaskRunning && self.running_ms.is_none() {
            self.running_ms = status.timestamp.map(millis);
        }
        self.statuses.retain(|other| other.state != status.state);
        self.statuses.push(status);
    }

    /// When it was first said to run.
    pub(crate) fn running_ms(&self) -> Option<u64> {
        self.running_ms
    }

    pub(crate) fn state(&self) -> TaskState {
        self.statuses.last().map_or(TaskState::TaskStaging, TaskStatus::state)
    }

    pub(crate) fn task_id(&self) -> &str {
        &self.record.task.task_id.value
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970")]
fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}
