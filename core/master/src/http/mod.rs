//! The HTTP face of the master.
//!
//! Paths are matched as Mesos does: with or without the component `master`, by
//! the longest known prefix, so that trailing slashes, `.json` and other
//! suffixes do no harm.

mod answer;
mod discovery;
mod events;
mod legacy;
mod metrics;
mod operator;
mod render;
mod scheduler;
pub(crate) mod state;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use karman_rt::Tasks;
use tokio::sync::{mpsc, watch};

use crate::core::Request;
use crate::ledger::View;

/// What every handler may use.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) core: mpsc::Sender<Request>,
    pub(crate) snapshot: watch::Receiver<Arc<View>>,
    pub(crate) tasks: Tasks,
    pub(crate) cluster_name: String,
    pub(crate) version: &'static str,
    pub(crate) answers: Arc<state::Answers>,
}

impl Shared {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.snapshot.borrow())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Scheduler,
    Operator,
    Discovery,
    Metrics,
    Read(legacy::Read),
    Redirect,
    Teardown,
}

/// Longer names before their prefixes.
const ENDPOINTS: &[(&str, Endpoint)] = &[
    ("api/v1/scheduler", Endpoint::Scheduler),
    ("api/v1", Endpoint::Operator),
    ("karman/v1/discovery", Endpoint::Discovery),
    ("metrics/snapshot", Endpoint::Metrics),
    ("state-summary", Endpoint::Read(legacy::Read::StateSummary)),
    ("state", Endpoint::Read(legacy::Read::State)),
    ("slaves", Endpoint::Read(legacy::Read::Slaves)),
    ("frameworks", Endpoint::Read(legacy::Read::Frameworks)),
    ("tasks", Endpoint::Read(legacy::Read::Tasks)),
    ("roles", Endpoint::Read(legacy::Read::Roles)),
    ("version", Endpoint::Read(legacy::Read::Version)),
    ("health", Endpoint::Read(legacy::Read::Health)),
    ("flags", Endpoint::Read(legacy::Read::Flags)),
    ("redirect", Endpoint::Redirect),
    ("teardown", Endpoint::Teardown),
];

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("master/").unwrap_or(path);
        let is_at = |name: &str| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".json")
        };
        ENDPOINTS.iter().find(|(name, _)| is_at(name)).map(|(_, endpoint)| *endpoint)
    }
}

pub(crate) fn router(shared: Shared) -> Router {
    Router::new().fallback(dispatch).with_state(shared)
}

async fn dispatch(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return axum::response::IntoResponse::into_response(rejection),
    };
    let Some(endpoint) = Endpoint::of(uri.path()) else {
        return answer::text(StatusCode::NOT_FOUND, "no such endpoint on this master");
    };
    let is_read = method == Method::GET || method == Method::HEAD;
    match endpoint {
        Endpoint::Scheduler if method == Method::POST => {
            scheduler::handle(&shared, &headers, &body).await
        }
        Endpoint::Operator if method == Method::POST => {
            operator::handle(&shared, &headers, &body).await
        }
        Endpoint::Teardown if method == Method::POST => {
            operator::teardown_form(&shared, &body).await
        }
        Endpoint::Scheduler | Endpoint::Operator | Endpoint::Teardown => {
            answer::not_allowed("POST")
        }
        Endpoint::Discovery if is_read => discovery::follow(&shared).await,
        Endpoint::Metrics if is_read => legacy::metrics(&shared, uri.query()),
        Endpoint::Read(read) if is_read => legacy::read(&shared, read, uri.query()).await,
        Endpoint::Redirect => legacy::redirect(&shared),
        Endpoint::Discovery | Endpoint::Metrics | Endpoint::Read(_) => answer::not_allowed("GET"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_as_mesos_does() {
        let state = Some(Endpoint::Read(legacy::Read::State));
        for path in [
            "/state",
            "/master/state",
            "/state.json",
            "/master/state.json",
            "/master/state/",
            "/state/x",
        ] {
            assert_eq!(Endpoint::of(path), state, "{path}");
        }
        assert_eq!(Endpoint::of("/master/api/v1/scheduler"), Some(Endpoint::Scheduler));
        assert_eq!(Endpoint::of("/api/v1/operator"), Some(Endpoint::Operator));
        assert_eq!(
            Endpoint::of("/state-summary"),
            Some(Endpoint::Read(legacy::Read::StateSummary))
        );
        for path in ["/", "/stateful", "/mastery/state", "/api"] {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
    }
}
