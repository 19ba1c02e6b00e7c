//! The life of one container: staging → starting → running → killing →
//! terminal, never backwards. What is wanted (the goal) and what is true (the
//! phase) are different fields. Pure.
#![deny(clippy::disallowed_methods)]

mod report;

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::{Reason, Source};
use serde::{Deserialize, Serialize};

use crate::admit::Refusal;
use crate::recover::is_terminal;
use crate::shim::records::Exit;

/// What is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepted; its sandbox is being made.
    Staging,
    /// Everything is there; its shim starts.
    Starting,
    /// Its command was executed.
    Running,
    /// Told to end.
    Killing,
    /// Nothing of it is left.
    Terminal,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Run,
    Stop(StopCause),
}

/// Who wants it to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A KILL, or the end of the framework.
    #[default]
    Asked,
    /// Its health check.
    Unhealthy,
    /// The end of another task of its group.
    Group,
    /// The agent is being emptied, and will not come back if it is `gone`.
    Draining { gone: bool },
}

/// What never changes about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The framework understands `TASK_KILLING`.
    pub reports_killing: bool,
    /// The framework tells lost from gone.
    pub partition_aware: bool,
    /// For the message of a death by lack of memory.
    pub memory_limit_bytes: Option<u64>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    traits: Traits,
    phase: Phase,
    goal: Goal,
    grace_ms: Option<u64>,
}

/// What can happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Sandbox and files are there.
    Prepared,
    /// The command was executed.
    Started,
    Stop {
        cause: StopCause,
        grace_ms: u64,
    },
    /// Its executor says that this is so.
    Told(TaskState),
    /// The shim is gone.
    Ended(Ended),
}

/// What a shim left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its record, and the last lines of the task's standard error.
    Recorded { exit: Exit, stderr_tail: String },
    /// Nothing, or it never started; why.
    Unrecorded { reason: String },
    /// The machine was rebooted under it.
    Rebooted,
    /// It was not admitted.
    Refused(Refusal),
    /// Its executor is gone, and said nothing of its end.
    Abandoned(Abandoned),
}

/// What is known of the end of a task whose executor is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandoned {
    pub reason: Reason,
    pub message: String,
    /// Somebody wanted the executor to end.
    pub wanted: bool,
    /// How its process ended, where that is on record.
    pub exit: Option<Exit>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the framework.
    Report(Report),
    /// Tell the shim.
    Kill { grace_ms: u64, cause: StopCause },
}

/// A change of state as the framework will see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub state: TaskState,
    pub source: Source,
    pub reason: Option<Reason>,
    pub message: Option<String>,
    /// Known only where a health check ended the task.
    pub healthy: Option<bool>,
    /// The memory that was not enough, in bytes.
    pub limitation_memory_bytes: Option<u64>,
}

impl Container {
    pub fn new(traits: Traits) -> Self {
        Self { traits, phase: Phase::Staging, goal: Goal::Run, grace_ms: None }
    }

    /// As an earlier process of this agent left it.
    pub fn restored(traits: Traits, phase: Phase, goal: Goal) -> Self {
        Self { traits, phase, goal, grace_ms: None }
    }

    pub fn traits(&self) -> &Traits {
        &self.traits
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the others of its group must end because it was told to.
    pub fn is_stopping(&self) -> bool {
        self.phase < Phase::Terminal && self.goal != Goal::Run
    }

    pub fn goal(&self) -> Goal {
        self.goal
    }

    pub fn apply(&mut self, event: Event) -> Vec<Effect> {
        if self.phase == Phase::Terminal {
            return Vec::new();
        }
        match event {
            Event::Prepared => self.advance(Phase::Starting, report::starting()),
            Event::Started => self.advance(Phase::Running, report::running()),
            Event::Stop { cause, grace_ms } => self.stop(cause, grace_ms),
            Event::Told(state) => {
                self.phase = self.phase.max(phase_of(state));
                Vec::new()
            }
            Event::Ended(ended) => {
                self.phase = Phase::Terminal;
                vec![Effect::Report(report::ended(&self.traits, self.goal, ended))]
            }
        }
    }

    fn advance(&mut self, to: Phase, report: Report) -> Vec<Effect> {
        if self.phase >= to {
            return Vec::new();
        }
        self.phase = to;
        vec![Effect::Report(report)]
    }

    /// The first cause counts, save that draining counts more: all that ends
    /// meanwhile is told so. A later kill can only shorten the wait.
    fn stop(&mut self, cause: StopCause, grace_ms: u64) -> Vec<Effect> {
        let (cause, news) = match self.goal {
            Goal::Run => (cause, true),
            Goal::Stop(first) => match cause {
                StopCause::Draining { .. } => (cause, first != cause),
                StopCause::Asked | StopCause::Unhealthy | StopCause::Group => (first, false),
            },
        };
        self.goal = Goal::Stop(cause);
        let shorter = self.grace_ms.is_none_or(|earlier| grace_ms < earlier);
        let mut effects = Vec::new();
        if shorter || news {
            let grace_ms = self.grace_ms.map_or(grace_ms, |earlier| earlier.min(grace_ms));
            self.grace_ms = Some(grace_ms);
            effects.push(Effect::Kill { grace_ms, cause });
        }
        if self.phase < Phase::Killing {
            self.phase = Phase::Killing;
            if self.traits.reports_killing {
                effects.push(Effect::Report(report::killing(cause)));
            }
        }
        effects
    }
}

/// Where a task is that an executor says this of.
pub fn phase_of(state: TaskState) -> Phase {
    match state {
        TaskState::TaskStarting => Phase::Starting,
        TaskState::TaskRunning => Phase::Running,
        TaskState::TaskKilling => Phase::Killing,
        state if is_terminal(state) => Phase::Terminal,
        _ => Phase::Staging,
    }
}

/// What is told of a task under an executor instead of what the executor says,
/// where the agent knows better why it ends.
pub fn retold(traits: &Traits, goal: Goal, state: TaskState) -> Option<(TaskState, Reason)> {
    let Goal::Stop(StopCause::Draining { gone }) = goal else { return None };
    let state = match state {
        TaskState::TaskKilling => state,
        TaskState::TaskKilled if gone && traits.partition_aware => TaskState::TaskGoneByOperator,
        TaskState::TaskKilled if gone => TaskState::TaskLost,
        TaskState::TaskKilled => state,
        _ => return None,
    };
    Some((state, Reason::AgentDraining))
}

/// Whether the end of one task is the end of its group: every end but that of a
/// task that did what it was there for.
pub fn ends_group(state: TaskState) -> bool {
    is_terminal(state) && state != TaskState::TaskFinished
}

#[cfg(test)]
mod tests;
