//! Why one of the roles did not start, in one process or on one machine.

use std::io;
use std::path::PathBuf;

/// The parent of each task, which lies beside this program.
const SHIM: &str = "karman-shim";

/// The program that is run for each task: one that is small and nothing else, or,
/// where it is missing, this one, which can do the same with more memory.
pub(crate) fn shim() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let small = own.with_file_name(SHIM);
    Ok(if small.is_file() { small } else { own })
}

/// A role did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot find the path of this program, which every task's shim runs")]
    Program(#[source] io::Error),
    #[error("the master did not start")]
    Master(#[from] karman_master::StartError),
    #[error("an agent did not start")]
    Agent(#[from] karman_agent::StartError),
    #[error("the orchestrator did not start")]
    Orchestrator(#[from] karman_orchestrator::StartError),
    #[error("DNS did not start")]
    Dns(#[from] karman_dns::StartError),
    #[error("the catalog did not start")]
    Catalog(#[from] karman_catalog::StartError),
    #[error("the gateway did not start")]
    Gateway(#[from] karman_gateway::StartError),
}
