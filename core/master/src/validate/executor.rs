//! The rules for executors, and for groups of tasks that share one.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::{container_info, executor_info};
use karman_model::id::{self, FrameworkId};
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;

use super::container;
use super::resources;
use super::task::read;

/// An executor of a group has at least so much, besides its tasks.
pub const CPUS_MIN: Quantity = Quantity::from_thousandths(10);
pub const MEM_MIN: Quantity = Quantity::from_units(32);
/// The tasks of one group.
pub const GROUP_TASKS_MAX: usize = 1000;

/// Why an executor or a group is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("ExecutorInfo.executor_id {0}")]
    Id(id::Error),
    #[error("ExecutorInfo has an invalid framework_id '{wrong}', it must be '{right}'")]
    Framework { wrong: String, right: FrameworkId },
    #[error("ExecutorInfo of LAUNCH must be of type CUSTOM and have a command")]
    NotCustom,
    #[error("'ExecutorInfo.type' must be set for a task group")]
    NoType,
    #[error("'ExecutorInfo.command' must not be set for type DEFAULT")]
    DefaultCommand,
    #[error("'ExecutorInfo.command' must be set for type CUSTOM")]
    NoCommand,
    #[error("'ExecutorInfo.container' must be of type MESOS without an image for type DEFAULT")]
    DefaultContainer,
    #[error("ExecutorInfo.{0}")]
    Container(container::Error),
    #[error("Executor uses invalid resources: {0}")]
    Resources(resources::Error),
    #[error("Executor uses {has} {name}, at least {least} are needed for a task group")]
    Small { name: &'static str, has: Quantity, least: Quantity },
    #[error("Executor uses no disk, which a task group needs")]
    NoDisk,
    #[error("'ExecutorInfo.shutdown_grace_period' must not be negative")]
    Grace,
    #[error("Task has invalid ExecutorInfo: '{0}' is on this agent with a different ExecutorInfo")]
    Different(String),
    #[error("Task group is empty")]
    NoTasks,
    #[error("Task group has {0} tasks, at most {GROUP_TASKS_MAX} are possible")]
    ManyTasks(usize),
    #[error("Task group has two tasks with the id '{0}'")]
    TwiceTask(String),
    #[error("Docker ContainerInfo is not supported on the tasks of a group ('{0}')")]
    DockerTask(String),
    #[error("'NetworkInfos' of the task '{0}' must be on the executor of the group instead")]
    TaskNetwork(String),
    #[error("Task '{0}' of a group must have a command")]
    NoTaskCommand(String),
    #[error("ExecutorInfo of the task '{0}' differs from that of its group")]
    TaskExecutor(String),
    #[error("All tasks of a group must have the same 'LinuxInfo.share_cgroups'")]
    ShareCgroups,
    #[error("Task '{0}' has limits, which needs 'LinuxInfo.share_cgroups' to be false")]
    SharedLimits(String),
}

/// What a completed executor costs besides its tasks.
pub fn check(
    executor: &v1::ExecutorInfo,
    framework: &FrameworkId,
    role: &Role,
) -> Result<Resources, Error> {
    id::check(&executor.executor_id.value).map_err(Error::Id)?;
    if let Some(id) = executor.framework_id.as_ref().filter(|id| id.value != framework.as_str()) {
        return Err(Error::Framework { wrong: id.value.clone(), right: framework.clone() });
    }
    if executor.shutdown_grace_period.as_ref().is_some_and(|grace| grace.nanoseconds < 0) {
        return Err(Error::Grace);
    }
    if let Some(command) = &executor.command {
        container::check_command(command).map_err(Error::Container)?;
    }
    if let Some(container) = &executor.container {
        container::check(container).map_err(Error::Container)?;
    }
    read(&executor.resources, role).map_err(Error::Resources)
}

/// Whether both say the same: one that came back with its agent says aloud what
/// the other leaves to its default.
pub fn is_same(one: &v1::ExecutorInfo, other: &v1::ExecutorInfo) -> bool {
    one == other || serde_json::to_value(one).ok() == serde_json::to_value(other).ok()
}

/// The executor of a task in LAUNCH. One without a type is a custom one, as from
/// the time before there were others.
pub fn is_custom(executor: &v1::ExecutorInfo) -> Result<(), Error> {
    let custom =
        matches!(executor.r#type(), executor_info::Type::Custom | executor_info::Type::Unknown);
    if custom && executor.command.is_some() { Ok(()) } else { Err(Error::NotCustom) }
}

/// The executor of a group; `resources` is what it costs, `is_new` whether it has
/// yet to be started.
pub fn runs_groups(executor: &v1::ExecutorInfo, resources: &Resources) -> Result<(), Error> {
    match executor.r#type() {
        executor_info::Type::Unknown => return Err(Error::NoType),
        executor_info::Type::Custom if executor.command.is_none() => return Err(Error::NoCommand),
        executor_info::Type::Custom => {}
        executor_info::Type::Default => {
            if executor.command.is_some() {
                return Err(Error::DefaultCommand);
            }
            let is_plain = |container: &v1::ContainerInfo| {
                container.r#type() == container_info::Type::Mesos
                    && container.mesos.as_ref().is_none_or(|mesos| mesos.image.is_none())
            };
            if executor.container.as_ref().is_some_and(|container| !is_plain(container)) {
                return Err(Error::DefaultContainer);
            }
        }
    }
    for (name, least) in [("cpus", CPUS_MIN), ("mem", MEM_MIN)] {
        let has = resources.scalar(name);
        if has < least {
            return Err(Error::Small { name, has, least });
        }
    }
    if resources.scalar("disk").is_zero() { Err(Error::NoDisk) } else { Ok(()) }
}

/// What the tasks of a group must have in common.
pub fn check_group(executor: &v1::ExecutorInfo, tasks: &[v1::TaskInfo]) -> Result<(), Error> {
    if tasks.is_empty() {
        return Err(Error::NoTasks);
    }
    if tasks.len() > GROUP_TASKS_MAX {
        return Err(Error::ManyTasks(tasks.len()));
    }
    let is_default = executor.r#type() == executor_info::Type::Default;
    let mut ids = BTreeSet::new();
    let mut share = None;
    for task in tasks {
        let id = || task.task_id.value.clone();
        if !ids.insert(task.task_id.value.as_str()) {
            return Err(Error::TwiceTask(id()));
        }
        if task.executor.as_ref().is_some_and(|own| **own != *executor) {
            return Err(Error::TaskExecutor(id()));
        }
        if is_default && task.command.is_none() {
            return Err(Error::NoTaskCommand(id()));
        }
        if let Some(container) = &task.container {
            if container.r#type() == container_info::Type::Docker {
                return Err(Error::DockerTask(id()));
            }
            if !container.network_infos.is_empty() {
                return Err(Error::TaskNetwork(id()));
            }
        }
        let shares = shares_cgroups(task);
        if *share.get_or_insert(shares) != shares {
            return Err(Error::ShareCgroups);
        }
        if shares && !task.limits.is_empty() {
            return Err(Error::SharedLimits(id()));
        }
    }
    Ok(())
}

fn shares_cgroups(task: &v1::TaskInfo) -> bool {
    let linux = task.container.as_ref().and_then(|container| container.linux_info.as_ref());
    linux.and_then(|linux| linux.share_cgroups).unwrap_or(true)
}
