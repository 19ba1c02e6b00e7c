//! The operations of ACCEPT, one after the other on what the offers have left.
#![deny(clippy::disallowed_methods)]

mod convert;
pub(super) mod executors;
mod feedback;
mod group;
mod launch;
mod operator;

use std::sync::Arc;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::offer::operation;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::status::{Verdict, precise};
use super::{Ledger, Task};

pub use executors::Executor;
pub(super) use feedback::Operations;
use feedback::RESERVED_BYTES_MAX;
pub use feedback::{OPERATIONS_UNACKNOWLEDGED_MAX, Operation, StoredOperation};

/// What is being spent.
pub(super) struct Purse {
    pub(super) framework: FrameworkId,
    pub(super) agent: AgentId,
    pub(super) role: Role,
    /// On the account of the role.
    pub(super) left: Resources,
    /// What the agent has yet to be told, in order.
    pub(super) launches: Vec<session::Launch>,
    /// Whether the agent has other resources than before.
    pub(super) changed: bool,
}

impl Purse {
    pub(super) const fn new(
        framework: FrameworkId,
        agent: AgentId,
        role: Role,
        left: Resources,
    ) -> Self {
        Self { framework, agent, role, left, launches: Vec::new(), changed: false }
    }

    /// Whether all of it can be had from what is left.
    fn covers(&self, resources: &Resources) -> bool {
        self.left.contains(resources)
    }

    /// Takes it out; what is shared stays for others.
    fn spend(&mut self, resources: &Resources) {
        self.left = self.left.saturating_sub(&resources.exclusive());
    }
}

impl Ledger {
    pub(super) fn operate(
        &mut self,
        now: Timestamp,
        purse: &mut Purse,
        operation: v1::offer::Operation,
    ) {
        match operation.r#type() {
            operation::Type::Launch => {
                let with_id = operation.id.is_some();
                for task in operation.launch.map(|launch| launch.task_infos).unwrap_or_default() {
                    if with_id {
                        let problem = "LAUNCH operations cannot have an id";
                        self.task_error(now, purse, &task, Reason::TaskInvalid, problem);
                    } else {
                        self.launch(now, purse, task);
                    }
                }
            }
            operation::Type::LaunchGroup => {
                let with_id = operation.id.is_some();
                let Some(group) = operation.launch_group else { return };
                if with_id {
                    let problem = "LAUNCH_GROUP operations cannot have an id";
                    for task in &group.task_group.tasks {
                        self.task_error(now, purse, task, Reason::TaskGroupInvalid, problem);
                    }
                } else {
                    self.launch_group(now, purse, group);
                }
            }
            operation::Type::Unknown
            | operation::Type::Reserve
            | operation::Type::Unreserve
            | operation::Type::Create
            | operation::Type::Destroy
            | operation::Type::GrowVolume
            | operation::Type::ShrinkVolume
            | operation::Type::CreateDisk
            | operation::Type::DestroyDisk => self.convert(now, purse, operation),
        }
    }

    /// Says so to a framework whose task cannot be launched.
    pub(super) fn task_error(
        &mut self,
        now: Timestamp,
        purse: &Purse,
        task: &v1::TaskInfo,
        reason: Reason,
        problem: &str,
    ) {
        let verdict = Verdict::new(TaskState::TaskError, reason, problem);
        self.count_end(TaskState::TaskError);
        let status = verdict.status(now, &(&task.task_id).into(), Some(&purse.agent));
        self.send_status(&purse.framework, status);
    }

    /// The same for one that could have been launched at another time.
    pub(super) fn task_dropped(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        task: &v1::TaskInfo,
        reason: Reason,
        problem: &str,
    ) {
        let Some(owner) = self.frameworks.get(framework) else { return };
        let state = precise(owner.capabilities, TaskState::TaskDropped);
        let agent = AgentId::from(&task.agent_id);
        let verdict = Verdict::new(state, reason, problem);
        let status = verdict.status(now, &(&task.task_id).into(), Some(&agent));
        self.count_end(state);
        self.send_status(framework, status);
    }

    /// Tells the agent what it has, after a change of that.
    pub(super) fn tell_resources(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else { return };
        let resources = crate::validate::operation::to_wire(&agent.total);
        self.tell(id, Body::Resources(session::Resources { resources }));
    }

    pub(super) fn tell_launches(&mut self, purse: &mut Purse) {
        for launch in std::mem::take(&mut purse.launches) {
            self.tell(&purse.agent, Body::Launch(launch));
        }
    }

    /// Puts a task on the books; its resources have been charged already.
    pub(super) fn add_task(&mut self, task: Task) {
        self.touch_task(&task.framework, &task.id);
        self.invite(&task.agent);
        if let Some(agent) = self.agent_mut(&task.agent) {
            agent.tasks.insert((task.framework.clone(), task.id.clone()));
            if !task.is_terminal() {
                agent.used += &task.resources;
            }
        }
        if let Some(framework) = self.frameworks.get_mut(&task.framework).map(Arc::make_mut) {
            framework.tasks.insert(Arc::new(task));
        }
    }

    /// Takes what a task held off the books of its agent and of the allocator,
    /// and with the last task its executor. The task is terminal or gone.
    pub(super) fn vacate(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        resources: &Resources,
        executor: Option<&ExecutorId>,
    ) {
        self.put_down(agent, resources);
        self.allocator.release(agent, framework, role, &resources.exclusive());
        if let Some(executor) = executor {
            self.dismiss(agent, framework, executor);
        }
    }

    /// The same, with the agent's volumes as they were created: a task may use
    /// them otherwise.
    pub(super) fn with_own_volumes(
        &mut self,
        agent: &AgentId,
        role: &Role,
        resources: Arc<Resources>,
    ) -> Arc<Resources> {
        if !resources.iter().any(|resource| resource.kind.is_persistent_volume()) {
            return resources;
        }
        let Some(agent) = self.agents.get(agent) else { return resources };
        let aligned = resources.unallocated().aligned_with(&agent.total).allocated_to(role);
        self.pool.share(aligned)
    }

    /// Nobody uses these any longer, but for what is shared with somebody.
    fn put_down(&mut self, id: &AgentId, resources: &Resources) {
        let shared = self.shared_in_use(id, resources);
        if let Some(agent) = self.agent_mut(id) {
            agent.used = agent.used.saturating_sub(resources) + &shared;
        }
    }

    /// What of the shared volumes in `resources` is in use on the agent.
    fn shared_in_use(&self, agent: &AgentId, resources: &Resources) -> Resources {
        if !resources.has_shared() {
            return Resources::EMPTY;
        }
        let Some(agent) = self.agents.get(agent) else { return Resources::EMPTY };
        let mut used: Resources =
            agent.executors.values().map(|executor| &executor.resources).sum();
        for (framework, task) in &agent.tasks {
            let owner = self.frameworks.get(framework);
            if let Some(task) = owner.and_then(|owner| owner.tasks.get(task))
                && !task.is_terminal()
            {
                used += &task.resources.shared();
            }
        }
        used.common(resources)
    }
}

/// Whether reservations and volumes can be stored as part of an agent's record.
pub(super) fn is_storable(total: &Resources) -> bool {
    let wire = crate::validate::operation::to_wire(total);
    serde_json::to_vec(&wire).is_ok_and(|text| text.len() <= RESERVED_BYTES_MAX)
}

fn task_ids(tasks: &[v1::TaskInfo]) -> impl Iterator<Item = TaskId> + '_ {
    tasks.iter().map(|task| (&task.task_id).into())
}
