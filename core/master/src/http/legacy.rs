//! The read endpoints that are older than the v1 APIs. All of them read a
//! snapshot and disturb nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

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

/// The decoded query, the last of each name.
type Query = BTreeMap<String, String>;

fn query_of(query: Option<&str>) -> Query {
    let uri = format!("/?{}", query.unwrap_or_default());
    uri.parse::<Uri>()
        .ok()
        .and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok())
        .map(|axum::extract::Query(query)| query)
        .unwrap_or_default()
}

pub(super) async fn read(shared: &Shared, read: Read, query: Option<&str>) -> Response {
    let query = query_of(query);
    let view = shared.view();
    let (cluster, version) = (shared.cluster_name.clone(), shared.version);
    let wanted = query.clone();
    let rendered = match read {
        Read::State => return whole_state(shared, query.get("jsonp").map(String::as_str)).await,
        Read::Health => return answer::empty(StatusCode::OK),
        Read::Version => Ok(render::master::version(version)),
        Read::Flags => {
            Ok(json!({ "flags": render::master::flags(&cluster, &view.registry.settings) }))
        }
        Read::StateSummary => {
            let summary = move || render::summary::summary(&view, &cluster);
            let Ok(json) = tokio::task::spawn_blocking(summary).await else {
                return answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the answer cannot be made",
                );
            };
            return script_or_json(json, query.get("jsonp").map(String::as_str));
        }
        Read::Slaves | Read::Frameworks | Read::Tasks | Read::Roles => {
            // Large ones take long enough to hold up other requests.
            let render = move || render_view(read, &view, &wanted);
            tokio::task::spawn_blocking(render)
                .await
                .unwrap_or_else(|_panicked| Err("the answer cannot be made".to_owned()))
        }
    };
    match rendered {
        Ok(value) => padded(&value, query.get("jsonp").map(String::as_str)),
        Err(problem) => answer::text(StatusCode::BAD_REQUEST, problem),
    }
}

fn render_view(read: Read, view: &Arc<View>, query: &Query) -> Result<Value, String> {
    Ok(match read {
        Read::Slaves => render::agents::slaves(view, query.get("slave_id").map(String::as_str)),
        Read::Frameworks => {
            render::frameworks::frameworks(view, query.get("framework_id").map(String::as_str))
        }
        Read::Tasks => render::tasks::page(view, &render::tasks::Wanted::from_query(query)?),
        Read::Roles => render::roles::roles(view),
        Read::State | Read::StateSummary | Read::Version | Read::Health | Read::Flags => {
            Value::Null
        }
    })
}

/// In chunks as they are written, or whole for a script.
async fn whole_state(shared: &Shared, callback: Option<&str>) -> Response {
    let Some(name) = callback.filter(|name| is_callback(name)) else {
        return super::state::answer(shared).await;
    };
    let Some(json) = super::state::whole(shared).await else {
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, "the answer cannot be made");
    };
    script_or_json(json, Some(name))
}

fn script_or_json(json: Vec<u8>, callback: Option<&str>) -> Response {
    match callback.filter(|name| is_callback(name)) {
        Some(name) => {
            let script = [format!("{name}(").as_bytes(), &json, b");"].concat();
            answer::body(StatusCode::OK, "text/javascript", script.into())
        }
        None => answer::body(StatusCode::OK, "application/json", json.into()),
    }
}

fn is_callback(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c))
}

/// Old web pages read JSON as scripts.
fn padded(value: &Value, callback: Option<&str>) -> Response {
    match callback.filter(|name| is_callback(name)) {
        Some(_) => script_or_json(value.to_string().into(), callback),
        None => answer::json(value),
    }
}

pub(super) fn metrics(shared: &Shared, query: Option<&str>) -> Response {
    let value = Value::Object(
        metrics::snapshot(&shared.view()).into_iter().map(|(name, n)| (name, json!(n))).collect(),
    );
    padded(&value, query_of(query).get("jsonp").map(String::as_str))
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
