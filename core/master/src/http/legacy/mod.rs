//! The read endpoints that are older than the v1 APIs. All of them read a
//! snapshot and disturb nobody.

pub(super) mod forms;
pub(super) mod maintenance;
pub(super) mod quota;
pub(super) mod weights;

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::query::{self, Query};
use super::{Shared, answer, metrics, render};
use crate::ledger::View;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    State,
    StateSummary,
    Slaves,
    Frameworks,
    Tasks,
    Roles,
    Version,
    Health,
    Flags,
}

pub(super) async fn read(shared: &Shared, read: Read, query: &Query) -> Response {
    let view = shared.view();
    match read {
        Read::State => whole_state(shared, query.get("jsonp")).await,
        Read::Health => answer::empty(StatusCode::OK),
        Read::Version => padded(&render::master::version(shared.version), query),
        Read::Flags => {
            padded(&json!({ "flags": render::master::flags(&view, &shared.cluster_name) }), query)
        }
        Read::StateSummary | Read::Slaves | Read::Frameworks | Read::Tasks | Read::Roles => {
            let (cluster, wanted) = (shared.cluster_name.clone(), query.clone());
            let written = shared.renders.write(move || render_view(read, &view, &cluster, &wanted));
            match written.await {
                Ok(Ok(json)) => script_or_json(json, query.get("jsonp")),
                Ok(Err(problem)) => answer::text(StatusCode::BAD_REQUEST, problem),
                Err(busy) => *busy,
            }
        }
    }
}

fn render_view(
    read: Read,
    view: &Arc<View>,
    cluster: &str,
    query: &Query,
) -> Result<Bytes, String> {
    let value = match read {
        Read::StateSummary => return Ok(render::summary::summary(view, cluster).into()),
        Read::Slaves => render::agents::slaves(view, query.get("slave_id")),
        Read::Frameworks => render::frameworks::frameworks(view, query.get("framework_id")),
        Read::Tasks => render::tasks::page(view, &render::tasks::Wanted::from_query(query)?),
        Read::Roles => render::roles::roles(view),
        Read::State | Read::Version | Read::Health | Read::Flags => Value::Null,
    };
    Ok(value.to_string().into())
}

/// In chunks as they are written, or whole for a script.
async fn whole_state(shared: &Shared, callback: Option<&str>) -> Response {
    let Some(name) = callback.filter(|name| is_callback(name)) else {
        return super::state::answer(shared).await;
    };
    let Some(json) = super::state::whole(shared).await else {
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, "the answer cannot be made");
    };
    script_or_json(json.into(), Some(name))
}

pub(super) fn script_or_json(json: Bytes, callback: Option<&str>) -> Response {
    match callback.filter(|name| is_callback(name)) {
        Some(name) => {
            let script = [format!("{name}(").as_bytes(), &json, b");"].concat();
            answer::body(StatusCode::OK, "text/javascript", script.into())
        }
        None => answer::body(StatusCode::OK, "application/json", json),
    }
}

fn is_callback(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c))
}

/// Old web pages read JSON as scripts.
pub(super) fn padded(value: &Value, query: &Query) -> Response {
    let callback = query.get("jsonp");
    match callback.filter(|name| is_callback(name)) {
        Some(_) => script_or_json(value.to_string().into(), callback),
        None => answer::json(value),
    }
}

pub(super) async fn metrics(shared: &Shared, query: &Query) -> Response {
    // Everything is at hand: there is nothing to wait for, but the value is
    // checked.
    if let Some(text) = query.get("timeout").filter(|text| query::duration(text).is_none()) {
        let message = format!("Invalid timeout '{text}': expecting a duration like 10secs");
        return answer::text(StatusCode::BAD_REQUEST, message);
    }
    let value = metrics::snapshot(shared).await.into_iter().map(|(name, n)| (name, json!(n)));
    padded(&Value::Object(value.collect()), query)
}

/// The same numbers for Prometheus.
pub(super) async fn prometheus(shared: &Shared) -> Response {
    let text = metrics::prometheus(&metrics::snapshot(shared).await);
    answer::body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into())
}

/// To the leading master, which is this one.
pub(super) fn redirect(shared: &Shared) -> Response {
    let view = shared.view();
    let master = &view.identity.info;
    let host = master.hostname.as_deref().unwrap_or_default();
    let mut response = answer::empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(location) = HeaderValue::from_str(&format!("//{host}:{}", master.port)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
