//! Runs containers on one machine.
//!
//! The agent dials in to the leading master, is told what to launch and kill,
//! and reports what became of it. Every task runs under its own shim process,
//! so that restarting the agent touches no task: what must be remembered lies
//! in checkpoints on disk and in the shims themselves.
//!
//! It knows nothing of services; it never decides where a task runs.

pub mod admit;
pub mod cgroup;
pub mod checks;
mod disk;
pub mod lifecycle;
pub mod process;
pub mod recover;
pub mod shim;
pub mod updates;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use karman_rt::Tasks;
use tokio::net::TcpListener;

/// What an agent needs to know about itself.
#[derive(Debug)]
pub struct Config {
    /// Checkpoints and sandboxes; one agent per folder.
    pub work_dir: PathBuf,
    pub hostname: String,
    pub ip: IpAddr,
    pub http: TcpListener,
    /// Session URLs of the masters, tried in turn.
    pub masters: Vec<String>,
    /// `cpus:4;mem:1024;…`; detected where absent.
    pub resources: Option<String>,
    /// `rack:r1;zone:a`.
    pub attributes: Option<String>,
    /// The program that is run as `<shim> shim <run dir>` for each task.
    pub shim: PathBuf,
    pub version: &'static str,
}

/// The agent is registered with a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub agent_id: String,
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the work folder {}; choose another or make it writable", path.display())]
    WorkDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the agent's HTTP listener")]
    Listener(#[source] io::Error),
    #[error("resources '{text}' are not valid: {problem}")]
    Resources { text: String, problem: String },
    #[error("attributes '{text}' are not valid: {problem}")]
    Attributes { text: String, problem: String },
    #[error("no master is configured")]
    NoMaster,
    #[error("the master refused this agent: {reason}")]
    Rejected { reason: String },
    #[error("stopped before the agent was registered")]
    Stopped,
}

/// Starts the agent and returns once it is registered.
pub async fn start(config: Config, tasks: &Tasks) -> Result<Started, StartError> {
    let Config { masters, .. } = config;
    if masters.is_empty() {
        return Err(StartError::NoMaster);
    }
    tasks.cancelled().await;
    Err(StartError::Stopped)
}
