//! The rules for tasks in LAUNCH.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_allocator::Role;
use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::executor_info;
use karman_api::mesos::v1::health_check;
use karman_api::mesos::v1::resource::AllocationInfo;
use karman_model::id::{self, AgentId};
use karman_model::resource::Resources;
use karman_model::role;

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
    #[error("ExecutorInfo of LAUNCH must be of type CUSTOM and have a command")]
    Executor,
    #[error("tasks with an executor of their own are not supported by this release")]
    ExecutorUnsupported,
    #[error("Task uses no resources")]
    NoResources,
    #[error("Task uses invalid resources: {0}")]
    Resources(convert::Error),
    #[error("Task uses resources allocated to '{0}', the offer is of '{1}'")]
    Role(String, Role),
    #[error("Task mixes revocable and non-revocable '{0}'")]
    Revocable(String),
    #[error("Task must use whole gpus")]
    Gpus,
    #[error("TaskInfo.limits can only limit 'cpus' and 'mem', not '{0}'")]
    LimitName(String),
    #[error("TaskInfo.limits of '{0}' is below what the task requests")]
    LimitBelow(String),
    #[error("CommandInfo must have a value or be a shell-less container")]
    NoCommand,
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("HealthCheck must be of type COMMAND, HTTP or TCP and say how")]
    HealthCheck,
}

/// Fills in what frameworks may leave out: who the resources are allocated to,
/// and of which kind a health check is.
pub fn complete(task: &mut v1::TaskInfo, role: &Role) {
    let executor = task.executor.iter_mut().flat_map(|executor| executor.resources.iter_mut());
    for resource in task.resources.iter_mut().chain(executor) {
        let allocation = resource.allocation_info.get_or_insert_with(AllocationInfo::default);
        allocation.role.get_or_insert_with(|| role.to_string());
    }
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

/// The role of a task that an agent brings back.
pub fn role_of(task: &v1::TaskInfo, roles: &BTreeSet<Role>) -> Role {
    let allocated = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref());
    match allocated {
        Some(role) => role.into(),
        None => roles.first().map_or_else(|| role::ANY.into(), Arc::clone),
    }
}

/// What a completed task costs, if it may be launched at all.
pub fn check(
    task: &v1::TaskInfo,
    agent: &AgentId,
    role: &Role,
    known: bool,
) -> Result<Resources, Error> {
    id::check(&task.task_id.value).map_err(Error::Id)?;
    if known {
        return Err(Error::Duplicate);
    }
    if task.agent_id.value != agent.as_str() {
        return Err(Error::Agent { wrong: task.agent_id.value.clone(), right: agent.clone() });
    }
    match (&task.command, &task.executor) {
        (Some(_), Some(_)) | (None, None) => return Err(Error::CommandOrExecutor),
        (None, Some(executor)) => {
            let custom = matches!(
                executor.r#type(),
                executor_info::Type::Custom | executor_info::Type::Unknown
            );
            return Err(if custom && executor.command.is_some() {
                Error::ExecutorUnsupported
            } else {
                Error::Executor
            });
        }
        (Some(command), None) => {
            // An image brings its own command.
            if command.value.is_none() && command.shell.unwrap_or(true) {
                return Err(Error::NoCommand);
            }
        }
    }
    let resources = resources(task, role)?;
    limits(task, &resources)?;
    health(task)?;
    Ok(resources)
}

fn resources(task: &v1::TaskInfo, role: &Role) -> Result<Resources, Error> {
    let resources = convert::resources_from_wire(&task.resources).map_err(Error::Resources)?;
    if resources.is_empty() {
        return Err(Error::NoResources);
    }
    if let Some(other) = resources
        .iter()
        .find_map(|resource| resource.kind.allocated_to.as_ref().filter(|to| *to != role))
    {
        return Err(Error::Role(other.to_string(), Arc::clone(role)));
    }
    for name in resources.names() {
        let mut kinds = resources.iter().filter(|resource| &*resource.kind.name == name);
        let revocable = kinds.next().map(|resource| resource.kind.revocable);
        if kinds.any(|resource| Some(resource.kind.revocable) != revocable) {
            return Err(Error::Revocable(name.to_owned()));
        }
    }
    if !resources.scalar("gpus").is_whole() {
        return Err(Error::Gpus);
    }
    Ok(resources)
}

fn limits(task: &v1::TaskInfo, resources: &Resources) -> Result<(), Error> {
    for (name, v1::value::Scalar { value: limit }) in &task.limits {
        if !matches!(name.as_str(), "cpus" | "mem") {
            return Err(Error::LimitName(name.clone()));
        }
        if limit.is_nan() || *limit < resources.scalar(name).as_f64() {
            return Err(Error::LimitBelow(name.clone()));
        }
    }
    Ok(())
}

fn health(task: &v1::TaskInfo) -> Result<(), Error> {
    if task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref())
        .is_some_and(|it| it.nanoseconds < 0)
    {
        return Err(Error::Negative("KillPolicy.grace_period"));
    }
    if task.max_completion_time.as_ref().is_some_and(|time| time.nanoseconds < 0) {
        return Err(Error::Negative("TaskInfo.max_completion_time"));
    }
    let Some(check) = &task.health_check else { return Ok(()) };
    let says_how = match check.r#type() {
        health_check::Type::Command => check.command.is_some(),
        health_check::Type::Http => check.http.is_some(),
        health_check::Type::Tcp => check.tcp.is_some(),
        health_check::Type::Unknown => false,
    };
    if !says_how {
        return Err(Error::HealthCheck);
    }
    let times = [
        ("HealthCheck.delay_seconds", check.delay_seconds),
        ("HealthCheck.interval_seconds", check.interval_seconds),
        ("HealthCheck.timeout_seconds", check.timeout_seconds),
        ("HealthCheck.grace_period_seconds", check.grace_period_seconds),
    ];
    match times.iter().find(|(_, seconds)| seconds.is_some_and(|seconds| seconds < 0.0)) {
        Some((name, _)) => Err(Error::Negative(name)),
        None => Ok(()),
    }
}
