//! `/ui/`: the cluster at a glance.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;

use super::layout::Layout;
use super::{App, part, render};
use crate::live;
use crate::view::Snapshot;
use crate::view::overview::{Overview, overview};

/// The page around a live region.
#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Page {
    page: Layout,
    region: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "parts/overview.html")]
struct Region<'a> {
    view: Overview,
    problems: &'a [String],
}

/// Of a live request: what the viewer has.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    pub seen: String,
}

pub(super) fn region(snapshot: &Snapshot) -> String {
    part(&Region { view: overview(snapshot), problems: &snapshot.problems })
}

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let region = region(&snapshot);
    let seen = live::seen(&region);
    render(&Page { page: Layout::new(&app, &snapshot, "overview", "Overview"), region, seen })
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, region).await
}
