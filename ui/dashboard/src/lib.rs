//! The web dashboard: pages rendered on the server, kept live by server-sent
//! events. It talks to the public HTTP APIs only and keeps no state of its own.

use axum::Router;
use karman_rt::Tasks;

/// Where the dashboard finds the APIs it shows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the master, as `http://127.0.0.1:5050`.
    pub master: String,
    /// Base URL of the Marathon API.
    pub marathon: String,
    pub cluster_name: String,
    pub version: &'static str,
    /// Whether users sign in, so that pages offer to sign out.
    pub auth: bool,
}

/// The pages, under `/ui/`. The watcher of the upstream APIs runs in `tasks`.
pub fn router(config: Config, tasks: &Tasks) -> Router {
    let _config = config;
    let _tasks = tasks;
    Router::new()
}
