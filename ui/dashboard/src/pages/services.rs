//! `/ui/services`: all services, by group.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;

use super::layout::Layout;
use super::overview::Seen;
use super::{App, part, render};
use crate::live;
use crate::upstream::encode;
use crate::view::Snapshot;
use crate::view::deployments::{Deployment, deployments};
use crate::view::services::{Filter, Services, services};

#[derive(Template)]
#[template(path = "pages/services.html")]
struct Page {
    page: Layout,
    filter: Filter,
    region: String,
    /// The query of the live region.
    query: String,
}

#[derive(Template)]
#[template(path = "parts/services.html")]
struct Region<'a> {
    view: Services,
    deployments: Vec<Deployment>,
    problems: &'a [String],
}

pub(super) fn region(snapshot: &Snapshot, filter: &Filter) -> String {
    part(&Region {
        view: services(snapshot, filter),
        deployments: deployments(snapshot),
        problems: &snapshot.problems,
    })
}

pub(super) async fn page(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let region = region(&snapshot, &filter);
    let Filter { q, group } = &filter;
    let query = format!("q={}&group={}&seen={}", encode(q), encode(group), live::seen(&region));
    render(&Page {
        page: Layout::new(&app, &snapshot, "services", "Services"),
        filter,
        region,
        query,
    })
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, move |snapshot| region(snapshot, &filter)).await
}
