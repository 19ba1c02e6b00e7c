//! `/ui/nodes` and `/ui/node/<id>`.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;

use super::layout::Layout;
use super::overview::Seen;
use super::{App, missing, part, render};
use crate::live;
use crate::view::nodes::{self, Detail, Node};
use crate::view::{Snapshot, tasks};

#[derive(Template)]
#[template(path = "pages/nodes.html")]
struct Page {
    page: Layout,
    region: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "parts/nodes.html")]
struct Region<'a> {
    nodes: Vec<Node>,
    problems: &'a [String],
}

#[derive(Template)]
#[template(path = "pages/node.html")]
struct DetailPage {
    page: Layout,
    id: String,
    region: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "parts/node.html")]
struct DetailRegion<'a> {
    node: Option<Node>,
    rows: Vec<tasks::Row>,
    problems: &'a [String],
}

pub(super) fn region(snapshot: &Snapshot) -> String {
    part(&Region { nodes: nodes::nodes(snapshot), problems: &snapshot.problems })
}

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let region = region(&snapshot);
    let seen = live::seen(&region);
    render(&Page { page: Layout::new(&app, &snapshot, "nodes", "Nodes"), region, seen })
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, region).await
}

pub(super) fn detail_region(snapshot: &Snapshot, id: &str) -> String {
    let (node, rows) = match nodes::detail(snapshot, id) {
        Some(Detail { node, rows }) => (Some(node), rows),
        None => (None, Vec::new()),
    };
    part(&DetailRegion { node, rows, problems: &snapshot.problems })
}

pub(super) async fn detail(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let Some(Detail { node, .. }) = nodes::detail(&snapshot, &id) else {
        return missing(&format!("There is no node {id}. It may have left the cluster."));
    };
    let region = detail_region(&snapshot, &id);
    let page = Layout::new(&app, &snapshot, "nodes", node.hostname);
    render(&DetailPage { page, id, seen: live::seen(&region), region })
}

pub(super) async fn live_detail(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, move |snapshot| detail_region(snapshot, &id)).await
}
