//! `/ui/tasks` and `/ui/task/<id>`.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;

use super::layout::Layout;
use super::overview::Seen;
use super::{App, missing, part, render};
use crate::live;
use crate::upstream::encode;
use crate::view::Snapshot;
use crate::view::tasks::{self, Detail, Filter, Tasks};

#[derive(Template)]
#[template(path = "pages/tasks.html")]
struct Page {
    page: Layout,
    filter: Filter,
    region: String,
    query: String,
}

#[derive(Template)]
#[template(path = "parts/tasks.html")]
struct Region<'a> {
    view: Tasks,
    problems: &'a [String],
}

#[derive(Template)]
#[template(path = "pages/task.html")]
struct DetailPage {
    page: Layout,
    id: String,
    tab: &'static str,
    region: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "parts/task.html")]
struct DetailRegion<'a> {
    task: Option<Detail>,
    problems: &'a [String],
}

pub(super) fn region(snapshot: &Snapshot, filter: &Filter) -> String {
    part(&Region { view: tasks::tasks(snapshot, filter), problems: &snapshot.problems })
}

pub(super) async fn page(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let region = region(&snapshot, &filter);
    let Filter { q, state } = &filter;
    let query = format!("q={}&state={}&seen={}", encode(q), encode(state), live::seen(&region));
    render(&Page { page: Layout::new(&app, &snapshot, "tasks", "Tasks"), filter, region, query })
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, move |snapshot| region(snapshot, &filter)).await
}

pub(super) fn detail_region(snapshot: &Snapshot, id: &str) -> String {
    part(&DetailRegion { task: tasks::detail(snapshot, id), problems: &snapshot.problems })
}

pub(super) async fn detail(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let Some(task) = tasks::detail(&snapshot, &id) else {
        return missing(&format!(
            "There is no task {id}. Only the last finished tasks are remembered."
        ));
    };
    let region = detail_region(&snapshot, &id);
    let page = Layout::new(&app, &snapshot, "tasks", task.row.name);
    render(&DetailPage { page, id, tab: "details", seen: live::seen(&region), region })
}

pub(super) async fn live_detail(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Seen { seen }): Query<Seen>,
) -> Response {
    live::follow(app, seen, move |snapshot| detail_region(snapshot, &id)).await
}
