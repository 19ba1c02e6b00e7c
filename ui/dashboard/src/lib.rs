//! The web dashboard: pages rendered on the server, kept live by server-sent
//! events. It talks to the public HTTP APIs only and keeps no state of its own.

mod assets;
mod live;
mod pages;
pub mod sandbox;
pub mod upstream;
pub mod view;
mod watcher;
pub mod wire;

use axum::Router;
use http::{HeaderMap, HeaderValue, header};
use karman_api::credentials::Credentials;
use karman_rt::Tasks;
use karman_rt::http::Reach;

pub use pages::alone::{error_page, login_page};

/// Where the dashboard finds the APIs it shows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the master, as `http://127.0.0.1:5050`.
    pub master: String,
    /// For a master that asks.
    pub credentials: Option<Credentials>,
    /// Base URL of the Marathon API.
    pub marathon: String,
    pub reach: Reach,
    pub cluster_name: String,
    pub version: &'static str,
    /// Whether users sign in, so that pages offer to sign out.
    pub auth: bool,
}

/// The pages, under `/ui/`. The watcher of the upstream APIs runs in `tasks`.
pub fn router(config: Config, tasks: &Tasks) -> Router {
    let upstream =
        upstream::Upstream::new(&config.master, config.credentials.as_ref(), config.reach.clone());
    let watcher = watcher::spawn(&config, &upstream, tasks);
    pages::router(pages::App { config, upstream, watcher, stopped: tasks.token() })
}

/// What a page may do: load its own files and talk to its own server. No
/// script stands in a page, so none can be smuggled into one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Puts the security headers of a page.
pub fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
