//! Which calls of executors make sense. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::executor::Call;
use karman_api::mesos::v1::executor::call::{Type, Update};
use karman_api::mesos::v1::task_status::Source;
use karman_api::mesos::v1::{TaskState, TaskStatus};

/// The bytes of a UUID.
const UUID_BYTES: usize = 16;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("Expecting '{0}' to be present")]
    Missing(&'static str),
    #[error("'uuid' of the status of task '{task}' must be the 16 bytes of a UUID, it has {bytes}")]
    Uuid { task: String, bytes: usize },
    #[error("Status of task '{task}' names the executor '{named}', the call is of '{own}'")]
    Executor { task: String, named: String, own: String },
    #[error("Status of task '{task}' has the wrong source, expecting 'SOURCE_EXECUTOR'")]
    Source { task: String },
    #[error("Status of task '{task}' is {state}, which only the agent or the master can say")]
    State { task: String, state: &'static str },
}

/// Checks what no state of the agent is needed for.
pub fn check(call: &Call) -> Result<(), Invalid> {
    let executor = call.executor_id.value.as_str();
    match call.r#type() {
        Type::Unknown => Err(Invalid::Missing("type")),
        Type::Heartbeat => Ok(()),
        Type::Subscribe => {
            let subscribe = call.subscribe.as_ref().ok_or(Invalid::Missing("subscribe"))?;
            let updates = subscribe.unacknowledged_updates.iter();
            updates.into_iter().try_for_each(|Update { status }| check_status(status, executor))
        }
        Type::Update => {
            let update = call.update.as_ref().ok_or(Invalid::Missing("update"))?;
            check_status(&update.status, executor)
        }
        Type::Message => call.message.as_ref().map(drop).ok_or(Invalid::Missing("message")),
    }
}

fn check_status(status: &TaskStatus, executor: &str) -> Result<(), Invalid> {
    let task = || status.task_id.value.clone();
    let uuid = status.uuid.as_ref().ok_or(Invalid::Missing("uuid"))?;
    if uuid.len() != UUID_BYTES {
        return Err(Invalid::Uuid { task: task(), bytes: uuid.len() });
    }
    if let Some(named) = status.executor_id.as_ref().filter(|named| named.value != executor) {
        let (named, own) = (named.value.clone(), executor.to_owned());
        return Err(Invalid::Executor { task: task(), named, own });
    }
    if status.source.is_none() || status.source() != Source::Executor {
        return Err(Invalid::Source { task: task() });
    }
    match status.state() {
        TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone => Ok(()),
        state @ (TaskState::TaskStaging
        | TaskState::TaskUnreachable
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown) => {
            Err(Invalid::State { task: task(), state: state.as_str_name() })
        }
    }
}
