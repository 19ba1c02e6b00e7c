//! The files of a run folder, by which an agent and a shim talk. Each is
//! written whole by one side and outlives both.

use std::path::{Path, PathBuf};

use karman_container::Spec;
use serde::{Deserialize, Serialize};

use super::console::Attach;
use crate::cgroup::Group;
use crate::lifecycle::StopCause;
use crate::process::Identity;

/// The names of the files.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Agent to shim, before it starts: [`Launch`].
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// Created by the one shim that runs the task: [`Claim`].
    pub fn claim(&self) -> PathBuf {
        self.0.join("shim.json")
    }

    /// Shim to agent, once the command runs: [`Running`].
    pub fn running(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// Agent to shim, at any time: [`Kill`].
    pub fn kill(&self) -> PathBuf {
        self.0.join("kill.json")
    }

    /// Shim to agent, at the end: [`Exit`].
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }
}

/// What to run and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub spec: Spec,
    /// Where its output goes, as the machine sees it.
    pub sandbox: PathBuf,
    /// Between SIGTERM and SIGKILL where the task ends for lack of time.
    pub grace_ms: u64,
    pub completion_ms_max: Option<u64>,
    /// Somebody may look at it and speak to it.
    #[serde(default)]
    pub attach: Option<Attach>,
}

impl Launch {
    /// How others get at its input and output: always, where that is a terminal.
    pub fn attached(&self) -> Option<Attach> {
        self.attach.or_else(|| self.spec.process.terminal.map(|_| Attach::default()))
    }

    /// The group that lives and ends with this task; none for one that only
    /// joined that of another.
    pub fn own_group(&self) -> Option<&Group> {
        self.spec.group.as_ref().filter(|_| self.spec.limits.is_some())
    }
}

/// Who runs the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub shim: Identity,
}

/// The command was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub task: Identity,
    /// The first process of its container, for those who join it.
    #[serde(default)]
    pub init: Option<Identity>,
}

/// The task is to end. A later, shorter grace period shortens an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    pub grace_ms: u64,
    /// For the agent, should it be restarted before the end.
    #[serde(default)]
    pub cause: StopCause,
    /// The process has been told by other means: no SIGTERM comes before the
    /// SIGKILL at the end of the grace period.
    #[serde(default)]
    pub quiet: bool,
}

/// How the task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub cause: Cause,
    /// The kernel killed for lack of memory.
    pub out_of_memory: bool,
    /// It took longer than it was allowed to.
    pub out_of_time: bool,
    pub memory_peak_bytes: Option<u64>,
    pub finished_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The command ended by itself with this status.
    Status(i32),
    /// The command was ended by this signal.
    Signal(i32),
    /// The command was never executed, because of this.
    NotStarted(String),
    /// Killed before the command was executed.
    NeverStarted,
}

/// How records are kept: with their version, so that a later release can read
/// what an earlier one wrote.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Stored<T> {
    V1(T),
}

impl<T> Stored<T> {
    pub fn newest(self) -> T {
        let Self::V1(value) = self;
        value
    }
}
