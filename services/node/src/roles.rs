//! Why one of the roles did not start, in one process or on one machine.

/// A role did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot find the path of this program, which every task's shim runs")]
    Program(#[source] std::io::Error),
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
