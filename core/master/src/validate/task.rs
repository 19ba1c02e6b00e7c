//! The rules for tasks in LAUNCH and LAUNCH_GROUP.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::health_check;
use karman_api::mesos::v1::resource::AllocationInfo;
use karman_model::id::{self, AgentId};
use karman_model::resource::Resources;
use karman_model::role;

use super::resources::{self, is_of_role, is_unmixed};
use super::{check, container};

/// Why a task cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("TaskInfo.task_id {0}")]
    Id(id::Error),
    #[error("Task has duplicate ID: a task with this ID is active")]
    Duplicate,
    #[error("Task uses invalid agent {wrong}, the offer is of {right}")]
    Agent { wrong: String, right: AgentId },
    #[error("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")]
    CommandOrExecutor,
    #[error("Task uses no resources")]
    NoResources,
    #[error("Task uses invalid resources: {0}")]
    Resources(resources::Error),
    #[error("TaskInfo.limits can only limit 'cpus' and 'mem', not '{0}'")]
    LimitName(String),
    #[error("TaskInfo.limits of '{name}' is {limit}, below the {request} that the task requests")]
    LimitBelow { name: String, limit: String, request: String },
    #[error("CommandInfo must have a value or be a shell-less container")]
    NoCommand,
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("{0}")]
    Check(check::Error),
    #[error("TaskInfo.{0}")]
    Container(container::Error),
}

/// Fills in what frameworks may leave out: who the resources are allocated to,
/// and of which kind a health check is.
pub fn complete(task: &mut v1::TaskInfo, role: &Role) {
    let executor = task.executor.iter_mut().flat_map(|executor| executor.resources.iter_mut());
    allocate(task.resources.iter_mut().chain(executor), role);
    if let Some(check) = task.health_check.as_mut().filter(|check| check.r#type.is_none()) {
        let kind = if check.http.is_some() {
            health_check::Type::Http
        } else if check.tcp.is_some() {
            health_check::Type::Tcp
        } else {
            health_check::Type::Command
        };
        check.r#type = Some(kind.into());
    }
}

/// Says who the resources are allocated to, where that is not said.
pub fn allocate<'a>(resources: impl Iterator<Item = &'a mut v1::Resource>, role: &Role) {
    for resource in resources {
        let allocation = resource.allocation_info.get_or_insert_with(AllocationInfo::default);
        allocation.role.get_or_insert_with(|| role.to_string());
    }
}

/// The role on whose account the task is, if it says so.
pub fn account_of(task: &v1::TaskInfo) -> Option<Role> {
    let mut resources = task.resources.iter();
    resources
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
        .map(Into::into)
}

/// The role of a task that an agent brings back.
pub fn role_of(task: &v1::TaskInfo, roles: &BTreeSet<Role>) -> Role {
    account_of(task).or_else(|| roles.first().cloned()).unwrap_or_else(|| role::ANY.into())
}

/// Where a task is to be launched.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub agent: &'a AgentId,
    pub role: &'a Role,
}

/// What a completed task itself costs, if it may be launched at all; its executor
/// is looked at elsewhere. `known`: the framework has a task of this id.
pub fn check(task: &v1::TaskInfo, place: Place<'_>, known: bool) -> Result<Resources, Error> {
    if task.command.is_some() == task.executor.is_some() {
        id::check(&task.task_id.value).map_err(Error::Id)?;
        return Err(Error::CommandOrExecutor);
    }
    check_grouped(task, place, known)
}

/// The same for a task of a group, which may have a command and has an executor
/// in any case.
pub fn check_grouped(
    task: &v1::TaskInfo,
    place: Place<'_>,
    known: bool,
) -> Result<Resources, Error> {
    id::check(&task.task_id.value).map_err(Error::Id)?;
    if known {
        return Err(Error::Duplicate);
    }
    if task.agent_id.value != place.agent.as_str() {
        let wrong = task.agent_id.value.clone();
        return Err(Error::Agent { wrong, right: place.agent.clone() });
    }
    if let Some(command) = &task.command {
        // An image brings its own command.
        if command.value.is_none() && command.shell.unwrap_or(true) {
            return Err(Error::NoCommand);
        }
        container::check_command(command).map_err(Error::Container)?;
    }
    if let Some(container) = &task.container {
        container::check(container).map_err(Error::Container)?;
    }
    let resources = read(&task.resources, place.role).map_err(Error::Resources)?;
    if resources.is_empty() {
        return Err(Error::NoResources);
    }
    limits(task, &resources)?;
    times(task)?;
    check::health(task.health_check.as_deref()).map_err(Error::Check)?;
    check::check(task.check.as_deref()).map_err(Error::Check)?;
    Ok(resources)
}

/// Resources of a task or an executor.
pub(super) fn read(wire: &[v1::Resource], role: &Role) -> Result<Resources, resources::Error> {
    let resources = resources::read(wire)?;
    is_of_role(&resources, role)?;
    is_unmixed(&resources)?;
    Ok(resources)
}

fn limits(task: &v1::TaskInfo, resources: &Resources) -> Result<(), Error> {
    for (name, v1::value::Scalar { value: limit }) in &task.limits {
        if !matches!(name.as_str(), "cpus" | "mem") {
            return Err(Error::LimitName(name.clone()));
        }
        let request = resources.scalar(name);
        if limit.is_nan() || *limit < request.as_f64() {
            let (name, limit) = (name.clone(), limit.to_string());
            return Err(Error::LimitBelow { name, limit, request: request.to_string() });
        }
    }
    Ok(())
}

fn times(task: &v1::TaskInfo) -> Result<(), Error> {
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    if grace.is_some_and(|it| it.nanoseconds < 0) {
        return Err(Error::Negative("KillPolicy.grace_period"));
    }
    if task.max_completion_time.as_ref().is_some_and(|time| time.nanoseconds < 0) {
        return Err(Error::Negative("TaskInfo.max_completion_time"));
    }
    Ok(())
}
