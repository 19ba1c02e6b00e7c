//! The Cosmos API: negotiation, bodies, answers.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

mod error;
mod exchange;

use error::Error;
use exchange::{Call, answer, negotiate, read};

use crate::resolve;

const CAPABILITIES: Call = Call { request: None, responses: &[("capabilities", 1)] };
const REPOSITORY_LIST: Call = Call {
    request: Some("package.repository.list-request"),
    responses: &[("package.repository.list-response", 1)],
};
const SEARCH: Call =
    Call { request: Some("package.search-request"), responses: &[("package.search-response", 1)] };
const DESCRIBE: Call = Call {
    request: Some("package.describe-request"),
    responses: &[("package.describe-response", 2), ("package.describe-response", 3)],
};
const LIST_VERSIONS: Call = Call {
    request: Some("package.list-versions-request"),
    responses: &[("package.list-versions-response", 1)],
};

pub(crate) fn router() -> Router {
    Router::new()
        .route("/capabilities", get(capabilities))
        .route("/package/repository/list", post(repositories))
        .route("/package/search", post(search))
        .route("/package/describe", post(describe))
        .route("/package/list-versions", post(list_versions))
}

/// None is claimed: a client that finds `PACKAGE_MANAGEMENT` here would go on
/// to install.
async fn capabilities(headers: HeaderMap) -> Result<Response, Error> {
    let media = negotiate(CAPABILITIES, &headers)?;
    Ok(answer(&media, &json!({ "capabilities": [] })))
}

/// The Go client sends `null` where others send `{}`.
#[derive(Debug, Deserialize)]
struct Nothing {}

async fn repositories(headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
    let (media, _body) = read::<Option<Nothing>>(REPOSITORY_LIST, &headers, &body)?;
    Ok(answer(&media, &json!({ "repositories": [] })))
}

#[derive(Debug, Deserialize)]
struct Search {
    query: Option<String>,
}

async fn search(headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
    let (media, Search { query }) = read(SEARCH, &headers, &body)?;
    tracing::debug!(query, "search without repositories");
    Ok(answer(&media, &json!({ "packages": [] })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    package_name: String,
    package_version: Option<String>,
}

async fn describe(headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
    let (media, Describe { package_name, package_version }) = read(DESCRIBE, &headers, &body)?;
    let release =
        resolve::select(&releases(), &package_name, package_version.as_deref())?.definition.clone();
    Ok(answer(&media, &json!({ "package": release })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListVersions {
    package_name: String,
    include_package_versions: bool,
}

async fn list_versions(headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
    let (media, ListVersions { package_name, include_package_versions }) =
        read(LIST_VERSIONS, &headers, &body)?;
    tracing::debug!(package = package_name, include_package_versions, "versions asked for");
    let releases = releases();
    resolve::select(&releases, &package_name, None)?;
    let named = releases.iter().filter(|release| release.name == package_name);
    let versions: serde_json::Map<_, _> = named
        .map(|release| (release.version.clone(), json!(release.release.to_string())))
        .collect();
    Ok(answer(&media, &json!({ "results": versions })))
}

/// All packages of all repositories, of which there are none.
fn releases() -> Vec<resolve::Release<serde_json::Value>> {
    Vec::new()
}

#[cfg(test)]
mod tests;
