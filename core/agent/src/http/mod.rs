//! What the agent answers over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::watch;

use crate::settings::Settings;
use crate::view::Snapshot;

/// What the handlers look at.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
}

pub(crate) fn router(settings: Arc<Settings>, snapshots: watch::Receiver<Arc<Snapshot>>) -> Router {
    Router::new().route("/health", get(|| async {})).with_state(Shared { settings, snapshots })
}
