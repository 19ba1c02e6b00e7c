//! Whether a task can run here, and as what: a plan so specific that the shell
//! makes no choice. Pure.
#![deny(clippy::disallowed_methods)]

mod container;
mod download;
mod environment;
mod limits;

pub use download::Download;

use std::path::PathBuf;

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use karman_model::resource::Resources;

use crate::cgroup::Limits;

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
    /// Where this agent answers, as `host:port`.
    pub endpoint: &'a str,
    /// The `PATH` of tasks that set none.
    pub path: &'a str,
    /// Whether this process may become other users.
    pub root: bool,
    /// What no running task uses; not looked at if absent, for a task that was
    /// admitted before.
    pub free: Option<&'a Resources>,
}

/// How the task will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub program: String,
    /// With the name of the program first.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub user: Option<String>,
    pub limits: Limits,
    pub grace_ms: u64,
    pub completion_ms_max: Option<u64>,
    pub downloads: Vec<Download>,
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
    if let Some(container) = &task.container {
        container::check(container)?;
    }
    let wanted = resources(task)?;
    if machine.free.is_some_and(|free| !free.contains(&wanted)) {
        return Err(Refusal::failed("Task uses more resources than are free on this agent"));
    }
    let (program, arguments) = program(command)?;
    Ok(Plan {
        program,
        arguments,
        environment: environment::environment(task, framework, command, machine)?,
        user: machine.root.then(|| user(command, framework)).flatten(),
        limits: limits::limits(task, &wanted),
        grace_ms: grace_ms(task),
        completion_ms_max: task.max_completion_time.map(|limit| millis(limit.nanoseconds)),
        downloads: command.uris.iter().map(download::download).collect::<Result<_, _>>()?,
    })
}

/// What a task takes from the agent: its share of what can run out, whoever it
/// is reserved for.
pub fn resources(task: &TaskInfo) -> Result<Resources, Refusal> {
    let resources = resources_from_wire(&task.resources)
        .map_err(|error| Refusal::invalid(format!("Task has invalid resources: {error}")))?;
    Ok(countable(&resources))
}

/// Without reservations; volumes and revocable resources are the master's
/// business alone.
pub fn countable(resources: &Resources) -> Resources {
    resources.filter(|kind| kind.disk.is_none() && !kind.revocable).unallocated().unreserved_view()
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
    if executor.is_some() {
        return Err(Refusal::failed("Task groups are not supported by this agent"));
    }
    if task.executor.is_some() {
        return Err(Refusal::failed("Custom executors are not supported by this agent"));
    }
    task.command
        .as_ref()
        .ok_or_else(|| Refusal::invalid("Task has neither a command nor an executor"))
}

fn program(command: &CommandInfo) -> Result<(String, Vec<String>), Refusal> {
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
        (None, Some(first)) => Ok((first.clone(), arguments)),
        (None, None) => Err(Refusal::invalid("Command has neither a value nor arguments")),
    }
}

/// The command's user, else the framework's.
fn user(command: &CommandInfo, framework: &FrameworkInfo) -> Option<String> {
    let named = command.user.as_ref().unwrap_or(&framework.user);
    (!named.is_empty()).then(|| named.clone())
}

/// The folder of a container's sandbox below the agent's work folder.
pub fn sandbox(agent_id: &str, framework_id: &str, task_id: &str, container_id: &str) -> PathBuf {
    let mut path = PathBuf::from("slaves");
    for part in [agent_id, "frameworks", framework_id, "executors", task_id, "runs", container_id] {
        path.push(part);
    }
    path
}

#[cfg(test)]
mod tests;
