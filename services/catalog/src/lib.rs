//! Packages into services.
//!
//! Speaks the Cosmos API. It has no repositories yet, and says so truthfully:
//! the list of repositories is empty, a search finds nothing, no package is
//! known, and no capability is claimed. What turns a package into a service is
//! here as functions: [`resolve`] picks a version and merges its options,
//! [`render`] fills its template.

use karman_rt::Tasks;
use tokio::net::TcpListener;

mod api;
#[cfg(test)]
mod goldens;
pub mod media;
pub mod render;
pub mod resolve;

/// What the catalog is served with.
#[derive(Debug)]
pub struct Config {
    pub http: TcpListener,
    pub version: &'static str,
}

/// The catalog cannot be served; so far nothing stands in its way.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Serves the catalog; it is ready when this returns.
#[expect(clippy::unused_async, reason = "every role starts in the same way")]
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let Config { http, version } = config;
    tracing::debug!(version, "catalog without repositories");
    karman_rt::http::serve("catalog", http, api::router(), tasks);
    Ok(())
}
