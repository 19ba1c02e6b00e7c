//! Whether a task can run here, and as what: a plan so specific that the shell
//! makes no choice. Pure.
#![deny(clippy::disallowed_methods)]

mod compose;
mod container;
mod download;
mod environment;
mod holding;
mod limits;

pub use compose::{
    Error as ComposeError, Place, SANDBOX, Stacked, compose, upper, user_name, work,
};
pub use container::{Container, From, Volume as TaskVolume, Wanted};
pub use download::Download;
pub use holding::{Link, countable};
pub(crate) use limits::limits;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1::executor_info::Type;
use karman_api::mesos::v1::framework_info::capability;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use karman_model::resource::Resources;

use crate::cgroup::Limits;
use crate::volumes::Volume;

/// Between SIGTERM and SIGKILL where nobody says otherwise.
pub const GRACE_MS_DEFAULT: u64 = 3_000;

/// The longest id that fits a file name with room for suffixes.
const ID_BYTES_MAX: usize = 255;

/// What admission looks at besides the task.
#[derive(Debug)]
pub struct Machine<'a> {
    pub agent_id: &'a str,
    pub container_id: &'a str,
    pub sandbox: &'a str,
    /// The address of tasks, which have none of their own.
    pub ip: IpAddr,
    /// Where this agent answers, as `host:port`.
    pub endpoint: &'a str,
    /// The `PATH` of tasks that set none.
    pub path: &'a str,
    /// Whether this process may become other users.
    pub root: bool,
    pub work_dir: &'a Path,
    /// What this agent has; not looked at if absent, for a task that was admitted
    /// before.
    pub stock: Option<Stock<'a>>,
    /// Volumes that other tasks use: they stay with whom they belong to.
    pub in_use: &'a BTreeSet<Volume>,
}

/// What an agent has to give.
#[derive(Clone, Copy, Debug)]
pub struct Stock<'a> {
    /// What no running task uses, in the form of [`countable`].
    pub free: &'a Resources,
    /// All that the master says it has.
    pub held: &'a Resources,
}

/// How the task will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Empty where the image says what is executed.
    pub program: String,
    /// With the name of the program first, if there is one.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub user: Option<String>,
    /// The user, if it is the task that names it.
    pub named_user: Option<String>,
    pub container: Container,
    pub limits: Limits,
    pub grace_ms: u64,
    pub completion_ms_max: Option<u64>,
    pub downloads: Vec<Download>,
    pub links: Vec<Link>,
}

/// Why it will not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub state: TaskState,
    pub reason: Reason,
    pub message: String,
}

impl Refusal {
    /// The task can run nowhere.
    fn invalid(message: impl Into<String>) -> Self {
        Self { state: TaskState::TaskError, reason: Reason::TaskInvalid, message: message.into() }
    }

    /// What is told of every task of a group, one of which was refused.
    #[must_use]
    pub fn of_group(self, guilty: &str) -> Self {
        let Self { state, reason, message } = self;
        let reason = match reason {
            Reason::TaskInvalid | Reason::ContainerLaunchFailed => Reason::TaskGroupInvalid,
            other => other,
        };
        let message = format!("The task group cannot be launched because of '{guilty}': {message}");
        Self { state, reason, message }
    }

    /// The task cannot run here.
    fn failed(message: impl Into<String>) -> Self {
        Self {
            state: TaskState::TaskFailed,
            reason: Reason::ContainerLaunchFailed,
            message: message.into(),
        }
    }
}

/// Decides about one task.
pub fn admit(
    task: &TaskInfo,
    framework: &FrameworkInfo,
    executor: Option<&ExecutorInfo>,
    machine: &Machine<'_>,
) -> Result<Plan, Refusal> {
    check_id("task id", &task.task_id.value)?;
    check_id("framework id", framework.id.as_ref().map_or("", |id| &id.value))?;
    let command = command(task, executor)?;
    let container = match &task.container {
        Some(container) => container::container(container)?,
        None => Container::default(),
    };
    if let (Some(what), false) = (container.needs_root(), machine.root) {
        return Err(Refusal::failed(format!("{what} need an agent that runs as root")));
    }
    let wanted = resources(task)?;
    if let Some(stock) = &machine.stock {
        let aware = is_partition_aware(framework);
        holding::check(&task.task_id.value, &wanted, stock, aware)?;
    }
    let in_image = container.image.is_some();
    let (program, arguments) = program(command, in_image)?;
    let downloads = command.uris.iter().map(download::download).collect::<Result<Vec<_>, _>>()?;
    let links = holding::links(&wanted, machine)?;
    holding::check_apart(&downloads, &links)?;
    Ok(Plan {
        program,
        arguments,
        environment: environment::environment(
            task, framework, executor, command, machine, in_image,
        )?,
        user: machine.root.then(|| user(command, framework)).flatten(),
        named_user: command.user.clone().filter(|user| machine.root && !user.is_empty()),
        container,
        limits: limits(task, &countable(&wanted)),
        grace_ms: grace_ms(task),
        completion_ms_max: task.max_completion_time.map(|limit| millis(limit.nanoseconds)),
        downloads,
        links,
    })
}

/// What a task uses, on nobody's account.
pub fn resources(task: &TaskInfo) -> Result<Resources, Refusal> {
    let resources = resources_from_wire(&task.resources)
        .map_err(|error| Refusal::invalid(format!("Task has invalid resources: {error}")))?;
    Ok(resources.unallocated())
}

/// Whether the framework tells lost from gone and dropped.
pub(crate) fn is_partition_aware(framework: &FrameworkInfo) -> bool {
    framework
        .capabilities
        .iter()
        .any(|capability| capability.r#type() == capability::Type::PartitionAware)
}

/// Between SIGTERM and SIGKILL, unless a KILL says otherwise.
pub fn grace_ms(task: &TaskInfo) -> u64 {
    let policy = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    policy.map_or(GRACE_MS_DEFAULT, |grace| millis(grace.nanoseconds))
}

pub(crate) fn millis(nanoseconds: i64) -> u64 {
    u64::try_from(nanoseconds).unwrap_or(0) / 1_000_000
}

/// Ids become names of folders.
pub(crate) fn check_id(what: &str, id: &str) -> Result<(), Refusal> {
    let bad = id.is_empty()
        || id.len() > ID_BYTES_MAX
        || id == "."
        || id == ".."
        || id.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    if bad { Err(Refusal::invalid(format!("'{id}' is not a valid {what}"))) } else { Ok(()) }
}

fn command<'a>(
    task: &'a TaskInfo,
    executor: Option<&ExecutorInfo>,
) -> Result<&'a CommandInfo, Refusal> {
    let custom = executor.is_some_and(|executor| executor.r#type() == Type::Custom);
    if custom || task.executor.is_some() {
        return Err(Refusal::failed("Custom executors are not supported by this agent"));
    }
    task.command
        .as_ref()
        .ok_or_else(|| Refusal::invalid("Task has neither a command nor an executor"))
}

pub(crate) fn program(
    command: &CommandInfo,
    in_image: bool,
) -> Result<(String, Vec<String>), Refusal> {
    let value = command.value.as_deref().filter(|value| !value.is_empty());
    let text = |text: &str| {
        let nul = text.contains('\0');
        if nul {
            Err(Refusal::invalid("Command holds a NUL character"))
        } else {
            Ok(text.to_owned())
        }
    };
    if command.shell() {
        let value = value.ok_or_else(|| Refusal::invalid("Command has no value for the shell"))?;
        return Ok(("/bin/sh".into(), vec!["sh".into(), "-c".into(), text(value)?]));
    }
    let arguments =
        command.arguments.iter().map(|argument| text(argument)).collect::<Result<Vec<_>, _>>()?;
    match (value, arguments.first()) {
        (Some(value), None) => Ok((text(value)?, vec![text(value)?])),
        (Some(value), Some(_)) => Ok((text(value)?, arguments)),
        (None, _) if in_image => Ok((String::new(), arguments)),
        (None, Some(first)) => Ok((first.clone(), arguments)),
        (None, None) => Err(Refusal::invalid("Command has neither a value nor arguments")),
    }
}

/// The command's user, else the framework's.
fn user(command: &CommandInfo, framework: &FrameworkInfo) -> Option<String> {
    let named = command.user.as_ref().unwrap_or(&framework.user);
    (!named.is_empty()).then(|| named.clone())
}

/// Whether a task can be given to an executor that its framework brought along,
/// and what it takes. `is_first` if the executor is started for it.
pub fn admit_hosted(
    task: &TaskInfo,
    framework: &FrameworkInfo,
    stock: &Stock<'_>,
    is_first: bool,
) -> Result<Resources, Refusal> {
    check_id("task id", &task.task_id.value)?;
    check_id("framework id", framework.id.as_ref().map_or("", |id| &id.value))?;
    let wanted = resources(task)?;
    holding::check(&task.task_id.value, &wanted, stock, is_partition_aware(framework))?;
    if !is_first && wanted.iter().any(|resource| resource.kind.is_persistent_volume()) {
        return Err(Refusal::failed(
            "Persistent volumes can be given to an executor only with its first tasks",
        ));
    }
    Ok(countable(&wanted))
}

/// What an executor takes for itself, beside its tasks.
pub fn executor_resources(
    executor: &ExecutorInfo,
    stock: &Stock<'_>,
    partition_aware: bool,
) -> Result<Resources, Refusal> {
    check_id("executor id", &executor.executor_id.value)?;
    let resources = resources_from_wire(&executor.resources)
        .map_err(|error| Refusal::invalid(format!("Executor has invalid resources: {error}")))?
        .unallocated();
    if resources.iter().any(|resource| resource.kind.is_persistent_volume()) {
        return Err(Refusal::failed(
            "Persistent volumes of executors are not supported by this agent",
        ));
    }
    if let Some(container) = &executor.container {
        container::container(container)?;
    }
    holding::check(&executor.executor_id.value, &resources, stock, partition_aware)?;
    Ok(countable(&resources))
}

/// The folder of a container's sandbox below the agent's work folder.
pub fn sandbox(
    agent_id: &str,
    framework_id: &str,
    executor_id: &str,
    container_id: &str,
) -> PathBuf {
    let mut path = PathBuf::from("slaves");
    for part in
        [agent_id, "frameworks", framework_id, "executors", executor_id, "runs", container_id]
    {
        path.push(part);
    }
    path
}

#[cfg(test)]
mod tests;
