//! The HTTP face of the master.
//!
//! Paths are matched as Mesos does: with or without the component `master`, by
//! the longest known prefix, so that trailing slashes, `.json` and other
//! suffixes do no harm. Reads come from snapshots; changes go through the core.

mod answer;
mod auth;
mod bodies;
mod change;
mod cutoff;
mod discovery;
mod endpoint;
mod events;
mod explain;
mod files;
mod legacy;
mod logging;
mod metrics;
mod operator;
mod query;
mod render;
mod renders;
mod scheduler;
pub(crate) mod state;
mod subscribe;
mod throttle;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use karman_rt::Tasks;
use karman_rt::http::Connection;
use karman_rt::log::Log;
use karman_rt::tls::Peer;
use tokio::sync::{mpsc, watch};

use self::auth::Principal;
pub(crate) use self::cutoff::UNREAD_MAX;
use self::endpoint::Endpoint;
use self::query::Query;
pub(crate) use self::renders::Renders;
pub(crate) use self::subscribe::Hub;
pub(crate) use self::throttle::Throttle;
use crate::access::Access;
use crate::core::{Request, Timings};
use crate::discovery::Followers;
use crate::elsewhere::Elsewhere;
use crate::ledger::View;

/// What every handler may use.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) core: mpsc::Sender<Request>,
    pub(crate) snapshot: watch::Receiver<Arc<View>>,
    pub(crate) hub: Hub,
    /// Once this master leads.
    pub(crate) followers: Arc<OnceLock<Followers>>,
    /// Until then.
    pub(crate) relay: Followers,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) timings: Timings,
    pub(crate) throttle: Throttle,
    pub(crate) access: Arc<Access>,
    pub(crate) log: Log,
    pub(crate) tasks: Tasks,
    pub(crate) cluster_name: String,
    pub(crate) version: &'static str,
    pub(crate) answers: Arc<state::Answers>,
    pub(crate) renders: Renders,
    /// Whether this master leads; others answer only for themselves.
    pub(crate) leading: watch::Receiver<bool>,
}

impl Shared {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.snapshot.borrow())
    }
}

/// A request whose sender is known and whose body is unpacked.
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    query: Query,
    body: Bytes,
    principal: Principal,
    connection: Connection,
}

impl Asked {
    fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

pub(crate) fn router(shared: Shared) -> Router {
    Router::new().fallback(dispatch).with_state(shared)
}

async fn dispatch(
    State(shared): State<Shared>,
    Extension(connection): Extension<Connection>,
    peer: Option<Extension<Peer>>,
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
    let query = Query::parse(uri.query().unwrap_or_default().as_bytes());
    let path = uri.path().to_owned();
    let asked = async {
        let peer = peer.map(|Extension(peer)| peer);
        let principal = auth::check(&shared.access, endpoint, peer, &headers)?;
        if !endpoint.is_local() && !*shared.leading.borrow() {
            return Err(Box::new(answer::not_leading(&shared.elsewhere, &uri)));
        }
        let body = bodies::unpacked(&headers, body).await?;
        let asked = Asked { method, path, headers, query, body, principal, connection };
        Ok::<_, Box<Response>>(asked)
    };
    match asked.await {
        // Calls are large; their handlers stay off the stacks of all others.
        Ok(asked) => Box::pin(route(&shared, endpoint, &asked)).await,
        Err(response) => *response,
    }
}

async fn route(shared: &Shared, endpoint: Endpoint, asked: &Asked) -> Response {
    let is_post = asked.method == Method::POST;
    match endpoint {
        Endpoint::Scheduler if is_post => scheduler::handle(shared, asked).await,
        Endpoint::Operator if is_post => Box::pin(operator::handle(shared, asked)).await,
        Endpoint::Form(form) if is_post => legacy::forms::handle(shared, form, asked).await,
        Endpoint::Quota => legacy::quota::handle(shared, asked).await,
        Endpoint::Weights => legacy::weights::handle(shared, asked).await,
        Endpoint::Schedule => legacy::maintenance::schedule(shared, asked).await,
        Endpoint::MachineDown if is_post => legacy::maintenance::down(shared, asked).await,
        Endpoint::MachineUp if is_post => legacy::maintenance::up(shared, asked).await,
        Endpoint::Scheduler
        | Endpoint::Operator
        | Endpoint::Form(_)
        | Endpoint::MachineDown
        | Endpoint::MachineUp => answer::not_allowed("POST"),
        Endpoint::LoggingToggle => logging::toggle(shared, asked),
        Endpoint::Redirect => legacy::redirect(shared),
        Endpoint::Discovery if asked.is_read() => discovery::follow(shared, asked).await,
        Endpoint::ExplainOffers if asked.is_read() => explain::offers(shared, &asked.query).await,
        Endpoint::ConstraintsDebug if asked.is_read() => {
            explain::constraints(shared, &asked.query).await
        }
        Endpoint::Metrics if asked.is_read() => legacy::metrics(shared, &asked.query).await,
        Endpoint::Prometheus if asked.is_read() => legacy::prometheus(shared).await,
        Endpoint::Read(read) if asked.is_read() => legacy::read(shared, read, &asked.query).await,
        Endpoint::MaintenanceStatus if asked.is_read() => {
            legacy::maintenance::status(shared, &asked.query)
        }
        Endpoint::Files(file) if asked.is_read() => files::handle(shared, file, &asked.query),
        Endpoint::Discovery
        | Endpoint::ExplainOffers
        | Endpoint::ConstraintsDebug
        | Endpoint::Metrics
        | Endpoint::Prometheus
        | Endpoint::Read(_)
        | Endpoint::MaintenanceStatus
        | Endpoint::Files(_) => answer::not_allowed("GET"),
    }
}
