//! Who gets which resources.
//!
//! The master knows agents, frameworks and tasks; it knows no service. Agents
//! dial in over the session protocol, frameworks speak the Mesos v1 scheduler
//! API, operators read snapshots.

use std::net::IpAddr;
use std::sync::Arc;

use karman_store::Store;
use tokio::net::TcpListener;

/// What a master needs to start.
#[derive(Debug)]
pub struct Config {
    pub cluster_name: String,
    /// How this master is called in URLs.
    pub hostname: String,
    pub ip: IpAddr,
    /// Scheduler API, operator API, legacy reads.
    pub http: TcpListener,
    /// Where agents dial in.
    pub session: TcpListener,
    pub store: Arc<dyn Store>,
    pub version: &'static str,
}

/// Why a master could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the state of the master")]
    Store(#[from] karman_store::Error),
    #[error(
        "the stored object {key} cannot be read; restore a backup of the data folder or move it away"
    )]
    Stored { key: String, source: serde_json::Error },
    #[error("cannot find out the address of a listener")]
    Address(#[source] std::io::Error),
}

/// Starts a master; it is ready when this returns.
pub async fn start(config: Config, tasks: &karman_rt::Tasks) -> Result<(), StartError> {
    let Config { cluster_name: _, hostname: _, ip: _, http, session: _, store, version: _ } =
        config;
    store.load("/master/").await?;
    karman_rt::http::serve("master", http, axum::Router::new(), tasks);
    Ok(())
}
