//! What goes into the machine of an executor, and what comes out. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

/// How long an executor may take to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the execution of its command to its subscription. What is fetched and
    /// pulled before takes nothing of it.
    pub registration_ms: u64,
    /// From the loss of its connection, or the restart of the agent, to its next
    /// subscription.
    pub reregistration_ms: u64,
}

impl Default for Patience {
    /// As DC/OS for the first. Its ten seconds for the second end executors whose
    /// client library pauses for fifteen between two attempts; the process itself is
    /// watched all the time, so that only one that lives and is mute is waited for.
    fn default() -> Self {
        Self { registration_ms: 600_000, reregistration_ms: 60_000 }
    }
}

/// What can happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its command was executed.
    Started,
    /// Tasks to hand over: as a group, or each for itself.
    Launch { tasks: Vec<String>, group: bool },
    /// It has subscribed, and knows of these tasks.
    Subscribed { heard: BTreeSet<String> },
    /// Its connection is gone.
    HungUp,
    /// A task is to end.
    Kill { task: String, grace_ms: Option<u64> },
    /// It, or the agent, said something of a task; `over` if that was the last.
    Told { task: String, over: bool },
    /// It is to end, with all of its tasks.
    Shutdown { grace_ms: u64 },
    /// Time has passed.
    Tick,
    /// Its process is gone.
    Ended,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Say(Say),
    /// The task was never handed over, and will not be.
    Spare {
        task: String,
    },
    /// Its process is to end; `quiet` if it has been told so already.
    End {
        grace_ms: u64,
        quiet: bool,
    },
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    Launch(String),
    LaunchGroup(Vec<String>),
    Kill { task: String, grace_ms: Option<u64> },
    Shutdown,
}
