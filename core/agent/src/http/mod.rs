//! What the agent answers over HTTP: its state, its containers, the files of
//! sandboxes, the operator API, all from snapshots; and what executors say.

mod access;
mod api;
mod attach;
mod codec;
mod containers;
mod error;
mod executor;
mod executors;
mod files;
mod images;
mod metrics;
mod nested;
mod operator;
mod state;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use karman_rt::Tasks;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::core::Event;
use crate::settings::Settings;
use crate::view::Snapshot;

/// What the handlers look at.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    settings: Arc<Settings>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

/// What is answered.
pub(crate) struct Routers {
    pub(crate) all: Router,
    /// With bodies that may go on for ever.
    pub(crate) streams: Router,
}

pub(crate) fn routers(
    settings: Arc<Settings>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
) -> Routers {
    let shared = Shared { settings, snapshots, events, tasks };
    // As one client spells it: the original took anything below its routes.
    let streams =
        Router::new().route("/api/v1", post(api::call)).route("/api/v1/operator", post(api::call));
    Routers {
        all: under_all_names(routes()).with_state(shared.clone()),
        streams: under_all_names(streams).with_state(shared),
    }
}

/// The name of the original's actor, as it is and as clients escape it.
fn under_all_names(routes: Router<Shared>) -> Router<Shared> {
    let all =
        routes.clone().nest("/slave(1)", routes.clone()).nest("/slave%281%29", routes.clone());
    all.nest("/slave", routes)
}

fn routes() -> Router<Shared> {
    let mut routes = Router::new()
        .route("/api/v1/executor", post(executor::call))
        .route("/karman/v1/images", get(images::list).delete(images::remove))
        .route("/karman/v1/images/pull", post(images::pull))
        .route("/karman/v1/images/uploads/{id}", post(images::upload))
        .route("/karman/v1/images/uploads/{id}/load", post(images::load));
    for suffix in ["", ".json"] {
        let path = |path: &str| format!("{path}{suffix}");
        routes = routes
            .route(&path("/state"), get(state::state))
            .route(&path("/containers"), get(containers::containers))
            .route(&path("/monitor/statistics"), get(containers::statistics))
            .route(&path("/flags"), get(flags))
            .route(&path("/version"), get(version))
            .route(&path("/metrics/snapshot"), get(metrics::snapshot))
            .route(&path("/files/browse"), get(files::browse))
            .route(&path("/files/read"), get(files::read))
            .route(&path("/files/download"), get(files::download))
            .route(&path("/files/debug"), get(files::debug));
    }
    routes.route("/health", get(|| async {}))
}

/// A name of a function to wrap the answer in, for pages of other origins.
#[derive(Clone, Debug, Default, Deserialize)]
struct Wrapped {
    jsonp: Option<String>,
}

impl Wrapped {
    fn json(&self, value: &impl Serialize) -> Response {
        let body = match serde_json::to_string(value) {
            Ok(body) => body,
            Err(error) => {
                return (http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
                    .into_response();
            }
        };
        let safe =
            |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "._$[]".contains(c));
        match self.jsonp.as_ref().filter(safe) {
            Some(name) => ([(header::CONTENT_TYPE, "text/javascript")], format!("{name}({body});"))
                .into_response(),
            None => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        }
    }
}

async fn version(State(shared): State<Shared>, Query(wrapped): Query<Wrapped>) -> Response {
    wrapped.json(&json!({ "version": shared.settings.version }))
}

async fn flags(State(shared): State<Shared>, Query(wrapped): Query<Wrapped>) -> Response {
    wrapped.json(&json!({ "flags": shared.settings.flags() }))
}
