//! The pages: each handler reads the snapshot, asks `view` what to show and
//! renders a template.

pub(crate) mod action;
pub(crate) mod alone;
mod create;
mod edit;
pub(crate) mod layout;
mod log;
mod nodes;
mod overview;
mod service;
mod services;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::StatusCode;
use karman_rt::chain;
use tokio_util::sync::CancellationToken;

use crate::upstream::Upstream;
use crate::watcher::Handle;
use crate::{Config, assets};

/// What every handler has.
#[derive(Debug)]
pub(crate) struct App {
    pub config: Config,
    pub upstream: Upstream,
    pub watcher: Handle,
    /// Ends the streams when the process stops.
    pub stopped: CancellationToken,
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/ui/") }))
        .route("/ui", get(|| async { Redirect::permanent("/ui/") }))
        .route("/ui/", get(overview::page))
        .route("/ui/live/overview", get(overview::live))
        .route("/ui/services", get(services::page))
        .route("/ui/live/services", get(services::live))
        .route("/ui/service/{*id}", get(service::page))
        .route("/ui/live/service/{*id}", get(service::live))
        .route("/ui/edit/{*id}", get(edit::page).post(edit::apply))
        .route("/ui/version/{*id}", get(edit::version))
        .route("/ui/create", get(create::page).post(create::apply))
        .route("/ui/create/to-json", post(create::to_json))
        .route("/ui/create/json", get(create::json_page).post(create::apply_json))
        .route("/ui/tasks", get(tasks::page))
        .route("/ui/live/tasks", get(tasks::live))
        .route("/ui/task/{id}", get(tasks::detail))
        .route("/ui/live/task/{id}", get(tasks::live_detail))
        .route("/ui/task/{id}/log", get(log::page))
        .route("/ui/live/log/{id}", get(log::live))
        .route("/ui/task/{id}/files", get(log::files))
        .route("/ui/task/{id}/download", get(log::download))
        .route("/ui/nodes", get(nodes::page))
        .route("/ui/live/nodes", get(nodes::live))
        .route("/ui/node/{id}", get(nodes::detail))
        .route("/ui/live/node/{id}", get(nodes::live_detail))
        .route("/ui/action/{kind}", get(action::dialog).post(action::act))
        .route("/ui/assets/{hash}/{name}", get(assets::serve))
        .route("/favicon.ico", get(|| async { Redirect::permanent(&assets::ICON.url()) }))
        .fallback(|| async { missing("There is no page at this address.") })
        .layer(from_fn(secured))
        .with_state(Arc::new(app))
}

async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_page = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"));
    if is_page {
        crate::secure(response.headers_mut());
    }
    response
}

/// Renders a page. Rendering fails only when a template is wrong.
fn render(template: &impl askama::Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(error = chain(&error), "page not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Renders a part of a page.
fn part(template: &impl askama::Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(error = chain(&error), "part not rendered");
        String::new()
    })
}

fn missing(message: &str) -> Response {
    (StatusCode::NOT_FOUND, Html(error_page(404, "Not found", message))).into_response()
}

fn unavailable(error: &crate::upstream::Error) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let text = chain(error);
    (status, Html(error_page(status.as_u16(), "Not available", &text))).into_response()
}

use alone::error_page;

#[cfg(test)]
mod tests;
