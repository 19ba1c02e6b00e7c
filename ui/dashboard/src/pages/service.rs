//! `/ui/service/<id>`: one service.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::{Map, Value};

use super::layout::Layout;
use super::overview::Seen;
use super::{App, missing, part, render};
use crate::live;
use crate::upstream::encode;
use crate::view::Snapshot;
use crate::view::format::When;
use crate::view::service::{Service, configuration, service};
use crate::wire::marathon::Versions;

/// Older versions are reached through the API.
const VERSIONS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "pages/service.html")]
struct Page {
    page: Layout,
    id: String,
    path: String,
    region: String,
    seen: String,
    configuration: String,
    versions: Vec<(String, When)>,
}

#[derive(Template)]
#[template(path = "parts/service.html")]
struct Region<'a> {
    service: Option<Service>,
    problems: &'a [String],
}

pub(super) fn region(snapshot: &Snapshot, id: &str) -> String {
    part(&Region { service: service(snapshot, id), problems: &snapshot.problems })
}

/// Reads an app as the API has it.
pub(super) async fn read(
    app: &App,
    id: &str,
) -> Result<Map<String, Value>, crate::upstream::Error> {
    #[derive(serde::Deserialize)]
    struct Answer {
        app: Map<String, Value>,
    }
    Ok(app.upstream.json::<Answer>(&url(app, id, "")).await?.app)
}

/// The URL of an app, whose id may hold anything that a user typed.
pub(super) fn url(app: &App, id: &str, rest: &str) -> String {
    let segments: Vec<String> = id.trim_matches('/').split('/').map(encode).collect();
    format!("{}/v2/apps/{}{rest}", app.config.marathon, segments.join("/"))
}

pub(super) async fn page(State(app): State<Arc<App>>, Path(path): Path<String>) -> Response {
    let id = format!("/{}", path.trim_matches('/'));
    let versions_url = url(&app, &id, "/versions");
    let (snapshot, config, versions) = tokio::join!(
        app.watcher.snapshot(),
        read(&app, &id),
        app.upstream.json::<Versions>(&versions_url)
    );
    if !snapshot.apps.iter().any(|known| known.id == id) {
        return missing(&format!("There is no service {id}. It may have been deleted."));
    }
    let mut versions = versions.unwrap_or_default().versions;
    versions.sort_by(|a, b| b.cmp(a));
    versions.truncate(VERSIONS_MAX);
    let versions = versions
        .into_iter()
        .map(|version| {
            let when = When::parse(&version, snapshot.taken_ms);
            (version, when)
        })
        .collect();
    let region = region(&snapshot, &id);
    render(&Page {
        page: Layout::new(&app, &snapshot, "services", id.trim_start_matches('/')),
        path: id.trim_start_matches('/').to_owned(),
        seen: live::seen(&region),
        id,
        region,
        configuration: config.map_or_else(|_| String::new(), |app| configuration(&app)),
        versions,
    })
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    let id = format!("/{}", path.trim_matches('/'));
    live::follow(app, seen, move |snapshot| region(snapshot, &id)).await
}
