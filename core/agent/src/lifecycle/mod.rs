//! The life of one container: staging → starting → running → killing →
//! terminal, never backwards. What is wanted (the goal) and what is true (the
//! phase) are different fields. Pure.
#![deny(clippy::disallowed_methods)]

mod report;

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::{Reason, Source};

use crate::admit::Refusal;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A KILL, or the end of the framework.
    Asked,
    /// Its health check.
    Unhealthy,
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
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the framework.
    Report(Report),
    /// Tell the shim.
    Kill { grace_ms: u64 },
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

    pub fn phase(&self) -> Phase {
        self.phase
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

    /// The first cause counts; a later kill can only shorten the wait.
    fn stop(&mut self, cause: StopCause, grace_ms: u64) -> Vec<Effect> {
        let first = self.goal == Goal::Run;
        if first {
            self.goal = Goal::Stop(cause);
        }
        let shorter = self.grace_ms.is_none_or(|earlier| grace_ms < earlier);
        let mut effects = Vec::new();
        if shorter {
            self.grace_ms = Some(grace_ms);
            effects.push(Effect::Kill { grace_ms });
        }
        if self.phase < Phase::Killing {
            self.phase = Phase::Killing;
            if self.traits.reports_killing {
                effects.push(Effect::Report(report::killing()));
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests;
