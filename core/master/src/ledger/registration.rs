//! What an agent says when it comes, made ready for the books: everything that
//! can be done without them is done here, by whoever reads the agent's session,
//! and not by the one writer.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::session;
use karman_model::id::{self, AgentId, FrameworkId, TaskId};
use karman_model::resource::Resources;
use karman_model::role;

use super::pool::Pool;
use super::{Task, operations};
use crate::validate;

/// The first message of an agent's session.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `None`: it has no id yet.
    pub(super) known: Option<AgentId>,
    pub(super) content: Result<Content, Unacceptable>,
}

#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) info: v1::AgentInfo,
    /// What it has found.
    pub(super) total: Resources,
    /// What it was last told that it has.
    pub(super) held: Resources,
    pub(super) version: String,
    pub(super) boot: String,
    pub(super) address: String,
    pub(super) capabilities: Vec<v1::agent_info::Capability>,
    pub(super) brought: Brought,
}

/// What is compared with the books once the agent is on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Brought {
    pub(super) drain: Option<v1::DrainConfig>,
    pub(super) frameworks: BTreeMap<FrameworkId, v1::FrameworkInfo>,
    /// Each once, by framework and id.
    pub(super) tasks: Vec<Returning>,
    /// Those that their frameworks brought along, with tasks or without.
    pub(super) executors: Vec<(FrameworkId, v1::ExecutorInfo)>,
}

/// A task that an agent brings back.
#[derive(Clone, Debug)]
pub(super) struct Returning {
    pub(super) task: Task,
    /// It does not say on whose account it is: to be completed with a role.
    pub(super) open: Option<Box<v1::TaskInfo>>,
    pub(super) executor: Option<Box<v1::ExecutorInfo>>,
}

/// Why nobody can use what the agent says.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unacceptable {
    #[error("the registration names no agent")]
    NoAgent,
    #[error("the id of the agent {0}")]
    Id(id::Error),
    #[error("{0}")]
    Wire(#[from] convert::Error),
    #[error("what the agent says about itself is larger than {} bytes", validate::INFO_BYTES_MAX)]
    Large,
    #[error("the task {task} of the framework {framework}: {reason}")]
    Task { framework: FrameworkId, task: TaskId, reason: convert::Error },
}

impl Registration {
    /// How many tasks it brings.
    pub fn tasks(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.brought.tasks.len())
    }
}

impl From<session::Register> for Registration {
    fn from(register: session::Register) -> Self {
        let known = register.agent.as_ref().and_then(|agent| agent.id.as_ref());
        let known = known.filter(|id| !id.value.is_empty()).map(AgentId::from);
        Self { content: Content::read(register, known.as_ref()), known }
    }
}

impl Content {
    fn read(register: session::Register, known: Option<&AgentId>) -> Result<Self, Unacceptable> {
        let session::Register {
            agent,
            version,
            boot_id: boot,
            tasks,
            frameworks,
            address,
            capabilities,
            held,
            drain,
            executors,
        } = register;
        let info = agent.ok_or(Unacceptable::NoAgent)?;
        if let Some(known) = known {
            id::check(known.as_str()).map_err(Unacceptable::Id)?;
        }
        let total = convert::resources_from_wire(&info.resources)?.unallocated();
        convert::attributes_from_wire(&info.attributes)?;
        let held = convert::resources_from_wire(&held)?.unallocated();
        if !validate::is_storable(&info) || !operations::is_storable(&held) {
            return Err(Unacceptable::Large);
        }
        let named = |info: v1::FrameworkInfo| Some((info.id.as_ref()?.into(), info));
        let frameworks = frameworks.into_iter().filter_map(named).collect();
        let executor =
            |it: session::AgentExecutor| Some(((&it.framework_id?).into(), it.executor?));
        let executors = executors.into_iter().filter_map(executor).collect();
        let brought = Brought { drain, frameworks, tasks: read_tasks(tasks, known)?, executors };
        Ok(Self { info, total, held, version, boot, address, capabilities, brought })
    }
}

fn read_tasks(
    tasks: Vec<session::AgentTask>,
    agent: Option<&AgentId>,
) -> Result<Vec<Returning>, Unacceptable> {
    let agent = agent.cloned().unwrap_or_else(|| AgentId::from(""));
    let mut reader = Reader { agent, frameworks: Vec::new(), pool: Pool::default() };
    let tasks = tasks.into_iter().filter_map(|task| reader.read(task));
    let mut tasks = tasks.collect::<Result<Vec<Returning>, Unacceptable>>()?;
    tasks.sort_by(|a, b| a.name().cmp(&b.name()));
    tasks.dedup_by(|a, b| a.name() == b.name());
    Ok(tasks)
}

impl Returning {
    const fn name(&self) -> (&FrameworkId, &TaskId) {
        (&self.task.framework, &self.task.id)
    }
}

struct Reader {
    agent: AgentId,
    /// One id is shared by all tasks of a framework.
    frameworks: Vec<FrameworkId>,
    pool: Pool,
}

impl Reader {
    /// `None`: it does not say which task of whom it is.
    fn read(&mut self, task: session::AgentTask) -> Option<Result<Returning, Unacceptable>> {
        let session::AgentTask { framework_id, task, status, latest, executor } = task;
        let (framework, mut info) = (framework_id?, *task?);
        info.executor = info.executor.or(executor);
        let framework = self.framework(&framework.value);
        let role = validate::task::account_of(&info);
        if let Some(role) = &role {
            validate::task::complete(&mut info, role);
        }
        let executor = info.executor.clone();
        let open = role.is_none();
        let role = role.unwrap_or_else(|| role::ANY.into());
        let resources = match self.pool.share_wire(&info.resources, &role) {
            Ok(resources) => resources,
            Err(reason) => {
                let task = TaskId::from(&info.task_id);
                return Some(Err(Unacceptable::Task { framework, task, reason }));
            }
        };
        let mut task = Task::new(framework, self.agent.clone(), role, &info, resources);
        let now = latest.as_ref().or(status.as_ref());
        task.state = now.map_or(TaskState::TaskStaging, |status| status.state());
        let latest = latest.filter(|latest| status.as_ref() != Some(latest));
        if let Some(mut told) = status {
            task.tell(&mut told);
        }
        if let Some(mut latest) = latest {
            task.remember(&mut latest);
        }
        let open = open.then(|| Box::new(info));
        Some(Ok(Returning { task, open, executor }))
    }

    fn framework(&mut self, id: &str) -> FrameworkId {
        if let Some(known) = self.frameworks.iter().find(|known| known.as_str() == id) {
            return known.clone();
        }
        let id = FrameworkId::from(id);
        self.frameworks.push(id.clone());
        id
    }
}
