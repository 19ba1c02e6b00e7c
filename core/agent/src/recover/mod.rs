//! What to do about a container that an earlier process of this agent
//! started, from what lies on disk and what runs. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::TaskState;

use crate::lifecycle::{Goal, Phase, StopCause};
use crate::shim::records::Exit;

/// What is known about one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The machine was not restarted since.
    pub same_boot: bool,
    /// The last state that was reported, if any was.
    pub reported: Option<TaskState>,
    /// Whether every report was acknowledged.
    pub acknowledged: bool,
    /// A kill was asked for, and why.
    pub killed: Option<StopCause>,
    /// A shim has taken it on.
    pub claimed: bool,
    /// That shim exists.
    pub shim_exists: bool,
    /// The command was executed.
    pub executed: bool,
    pub exit: Option<Exit>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing is left to tell: remove its checkpoint.
    Forget,
    /// It is over; go on delivering what was reported.
    Deliver,
    /// It ended while nobody looked.
    Conclude(Exit),
    /// It ended with the machine.
    Reboot,
    /// Its shim is gone without a record.
    Vanished,
    /// It runs: go on watching.
    Watch,
    /// No shim ever took it on: start one.
    Launch,
}

/// Decides about one container; the phase and goal are where its machine goes
/// on from.
pub fn recover(facts: Facts) -> (Action, Phase, Goal) {
    let Facts { same_boot, reported, acknowledged, killed, claimed, shim_exists, executed, exit } =
        facts;
    let goal = killed.map_or(Goal::Run, Goal::Stop);
    if reported.is_some_and(is_terminal) {
        let action = if acknowledged { Action::Forget } else { Action::Deliver };
        return (action, Phase::Terminal, goal);
    }
    let phase = match reported {
        None => Phase::Staging,
        Some(_) if killed.is_some() => Phase::Killing,
        Some(TaskState::TaskRunning) => Phase::Running,
        Some(TaskState::TaskKilling) => Phase::Killing,
        Some(_) => Phase::Starting,
    };
    let action = match exit {
        Some(exit) => Action::Conclude(exit),
        None if !same_boot => Action::Reboot,
        None if shim_exists => Action::Watch,
        // A number that is taken by another process is a dead shim as well.
        None if claimed || executed => Action::Vanished,
        None => Action::Launch,
    };
    (action, phase, goal)
}

pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

#[cfg(test)]
mod tests;
