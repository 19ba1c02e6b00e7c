//! `/ui/edit/<id>`: the configuration of a service as JSON, and earlier
//! versions of it.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bytes::Bytes;
use http::{Method, StatusCode};
use karman_rt::chain;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::create::listed;
use super::layout::Layout;
use super::{App, missing, render, service};
use crate::upstream::{Answer, Error, encode};
use crate::view::form;
use crate::view::format::When;
use crate::view::service::configuration;
use crate::wire::marathon::Refusal;

#[derive(Template)]
#[template(path = "pages/edit.html")]
struct Page {
    page: Layout,
    path: String,
    json: String,
    problems: Vec<String>,
    /// Whether to offer to override a running deployment.
    force: bool,
    /// The earlier version that was loaded, if one was.
    version: Option<When>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Edited {
    json: String,
    force: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    at: String,
}

async fn shown(app: &App, path: &str, json: String, problems: Vec<String>, force: bool) -> Page {
    let snapshot = app.watcher.snapshot().await;
    let page = Layout::new(app, &snapshot, "services", format!("Edit {path}"));
    Page { page, path: path.to_owned(), json, problems, force, version: None }
}

pub(super) async fn page(State(app): State<Arc<App>>, Path(path): Path<String>) -> Response {
    match service::read(&app, &path).await {
        Ok(found) => render(&shown(&app, &path, configuration(&found), Vec::new(), false).await),
        Err(error) => unread(&error, &path),
    }
}

/// An earlier version in the editor: applying it is the way back.
pub(super) async fn version(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    Query(Version { at }): Query<Version>,
) -> Response {
    let url = service::url(&app, &path, &format!("/versions/{}", encode(&at).replace("%3A", ":")));
    match app.upstream.json::<Map<String, Value>>(&url).await {
        Ok(found) => {
            let mut page = shown(&app, &path, configuration(&found), Vec::new(), false).await;
            page.version = Some(When::parse(&at, karman_rt::time::now_ms()));
            render(&page)
        }
        Err(error) => unread(&error, &path),
    }
}

fn unread(error: &Error, path: &str) -> Response {
    match error {
        Error::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
            missing(&format!("There is no service /{path}. It may have been deleted."))
        }
        error => super::unavailable(error),
    }
}

pub(super) async fn apply(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    Form(Edited { json, force }): Form<Edited>,
) -> Response {
    let value = match serde_json::from_str::<Value>(&json) {
        Ok(value) => value,
        Err(error) => {
            return refused(
                &app,
                &path,
                json,
                vec![format!("This is not valid JSON: {error}")],
                false,
            )
            .await;
        }
    };
    // What was taken out of the text is to be gone: the whole is replaced.
    let force = if force == "true" { "&force=true" } else { "" };
    let url = service::url(&app, &path, &format!("?partialUpdate=false{force}"));
    match app.upstream.send(Method::PUT, &url, Some(Bytes::from(value.to_string()))).await {
        Ok(Answer { status, .. }) if status.is_success() => {
            app.watcher.touch();
            Redirect::to(&format!("/ui/service/{path}")).into_response()
        }
        Ok(Answer { status, body }) => {
            let problems = match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) => listed(form::problems(&refusal)),
                Err(_) => vec![format!(
                    "The orchestrator answered {status}: {}",
                    crate::upstream::message(&body)
                )],
            };
            refused(&app, &path, json, problems, status == StatusCode::CONFLICT).await
        }
        Err(error) => refused(&app, &path, json, vec![chain(&error)], false).await,
    }
}

async fn refused(
    app: &App,
    path: &str,
    json: String,
    problems: Vec<String>,
    force: bool,
) -> Response {
    let page = shown(app, path, json, problems, force).await;
    (StatusCode::UNPROCESSABLE_ENTITY, render(&page)).into_response()
}
