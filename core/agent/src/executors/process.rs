//! An executor as the process that it is. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::executor_info::Type;
use karman_api::mesos::v1::{AgentId, ExecutorInfo, Resource, TaskId, TaskInfo};

use crate::admit;

/// Between the order to shut down and SIGKILL where nobody says otherwise.
const GRACE_MS_DEFAULT: u64 = 5_000;

/// Whether its framework brings it along. One without a type is from the time
/// before there were others.
pub fn is_custom(executor: &ExecutorInfo) -> bool {
    match executor.r#type() {
        Type::Custom => true,
        Type::Unknown => executor.command.is_some(),
        Type::Default => false,
    }
}

/// How long it may take to end when it is asked to.
pub fn grace_ms(executor: &ExecutorInfo) -> u64 {
    let own = executor.shutdown_grace_period.as_ref();
    own.map_or(GRACE_MS_DEFAULT, |grace| admit::millis(grace.nanoseconds))
}

/// What is admitted and run for it: its command, with what it and the tasks that
/// it is given take.
pub fn as_task<'a>(
    executor: &ExecutorInfo,
    agent_id: &str,
    tasks: impl Iterator<Item = &'a [Resource]>,
) -> TaskInfo {
    let mut resources = executor.resources.clone();
    resources.extend(tasks.flatten().cloned());
    TaskInfo {
        name: executor.name.clone().unwrap_or_default(),
        task_id: TaskId { value: executor.executor_id.value.clone() },
        agent_id: AgentId { value: agent_id.to_owned() },
        resources,
        command: executor.command.clone(),
        container: executor.container.clone(),
        ..TaskInfo::default()
    }
}
