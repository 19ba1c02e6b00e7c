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
        Read::Health => return answer::empty(StatusCode::OK),
        Read::Version => Ok(render::master::version(version)),
        Read::Flags => Ok(json!({ "flags": render::master::flags(&cluster) })),
        Read::State
        | Read::StateSummary
        | Read::Slaves
        | Read::Frameworks
        | Read::Tasks
        | Read::Roles => {
            // Large ones take long enough to hold up other requests.
            let render = move || render_view(read, &view, &cluster, version, &wanted);
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

fn render_view(
    read: Read,
    view: &Arc<View>,
    cluster: &str,
    version: &str,
    query: &Query,
) -> Result<Value, String> {
    Ok(match read {
        Read::State => render::master::state(view, cluster, version),
        Read::StateSummary => render::summary::summary(view, cluster),
        Read::Slaves => render::agents::slaves(view, query.get("slave_id").map(String::as_str)),
        Read::Frameworks => {
            render::frameworks::frameworks(view, query.get("framework_id").map(String::as_str))
        }
        Read::Tasks => render::tasks::page(view, &render::tasks::Wanted::from_query(query)?),
        Read::Roles => render::roles::roles(view),
        Read::Version | Read::Health | Read::Flags => Value::Null,
    })
}

/// Old web pages read JSON as scripts.
fn padded(value: &Value, callback: Option<&str>) -> Response {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$.".contains(c))
    };
    match callback.filter(|name| is_name(name)) {
        Some(name) => {
            answer::body(StatusCode::OK, "text/javascript", format!("{name}({value});").into())
        }
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
