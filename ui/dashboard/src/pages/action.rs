//! `/ui/action/<kind>?on=<subject>`: a question before something changes, and
//! the change itself. The question is a dialog with htmx and a page without.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use karman_rt::chain;
use serde::Deserialize;
use serde_json::json;

use super::layout::Layout;
use super::{App, missing, part, render, service};
use crate::upstream::{Answer, encode, message};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Scale,
    Restart,
    Suspend,
    Delete,
    ResetDelay,
    Kill,
    Rollback,
    Stop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct On {
    on: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answers {
    instances: String,
    /// Set by the button that overrides a running deployment.
    force: String,
}

#[derive(Template)]
#[template(path = "parts/dialog.html")]
struct Dialog {
    kind: Kind,
    on: String,
    title: &'static str,
    text: String,
    button: &'static str,
    danger: bool,
    /// The number to scale to, where it is asked for.
    instances: Option<String>,
    problem: Option<String>,
    /// Whether to offer to override a running deployment.
    force: bool,
}

#[derive(Template)]
#[template(path = "pages/action.html")]
struct Page {
    page: Layout,
    dialog: String,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Suspend => "suspend",
            Self::Delete => "delete",
            Self::ResetDelay => "reset-delay",
            Self::Kill => "kill",
            Self::Rollback => "rollback",
            Self::Stop => "stop",
        }
    }

    /// Title, question, button, and whether it cannot be taken back.
    fn question(self, on: &str) -> (&'static str, String, &'static str, bool) {
        match self {
            Self::Scale => {
                ("Scale service", format!("How many instances of {on} shall run?"), "Scale", false)
            }
            Self::Restart => (
                "Restart service",
                format!(
                    "All instances of {on} are replaced by new ones, as its upgrade strategy allows."
                ),
                "Restart",
                false,
            ),
            Self::Suspend => (
                "Suspend service",
                format!(
                    "All instances of {on} are stopped. The service stays and can be scaled up again."
                ),
                "Suspend",
                false,
            ),
            Self::Delete => (
                "Delete service",
                format!(
                    "{on}, its instances and its earlier versions are deleted. This cannot be undone."
                ),
                "Delete",
                true,
            ),
            Self::ResetDelay => (
                "Start now",
                format!("{on} is started without waiting for its delay to end."),
                "Start now",
                false,
            ),
            Self::Kill => (
                "Stop instance",
                format!("{on} is stopped; its service starts another one."),
                "Stop",
                true,
            ),
            Self::Rollback => (
                "Roll back deployment",
                format!("A new deployment undoes what deployment {on} has changed so far."),
                "Roll back",
                true,
            ),
            Self::Stop => (
                "Stop deployment",
                format!(
                    "Deployment {on} ends where it is. Its services stay half changed until the next deployment."
                ),
                "Stop here",
                true,
            ),
        }
    }

    /// What is told when it is done.
    fn done(self, on: &str, instances: &str) -> String {
        match self {
            Self::Scale => format!("Scaling {on} to {instances}"),
            Self::Restart => format!("Restarting {on}"),
            Self::Suspend => format!("Suspending {on}"),
            Self::Delete => format!("Deleting {on}"),
            Self::ResetDelay => format!("Starting {on} now"),
            Self::Kill => format!("Stopping {on}"),
            Self::Rollback => "Rolling the deployment back".to_owned(),
            Self::Stop => "Deployment stopped".to_owned(),
        }
    }
}

/// The request to the orchestrator.
fn request(
    app: &App,
    kind: Kind,
    on: &str,
    instances: u32,
    force: bool,
) -> (Method, String, Option<Bytes>) {
    let json = |value: serde_json::Value| Some(Bytes::from(value.to_string()));
    let suffix = if force { "?force=true" } else { "" };
    let marathon = &app.config.marathon;
    match kind {
        Kind::Scale => {
            (Method::PUT, service::url(app, on, suffix), json(json!({ "instances": instances })))
        }
        Kind::Suspend => {
            (Method::PUT, service::url(app, on, suffix), json(json!({ "instances": 0 })))
        }
        Kind::Restart => {
            (Method::POST, service::url(app, on, &format!("/restart{suffix}")), json(json!({})))
        }
        Kind::Delete => (Method::DELETE, service::url(app, on, suffix), None),
        Kind::ResetDelay => {
            let url = service::url(app, on, "/delay").replacen("/v2/apps/", "/v2/queue/", 1);
            (Method::DELETE, url, None)
        }
        Kind::Kill => {
            (Method::POST, format!("{marathon}/v2/tasks/delete"), json(json!({ "ids": [on] })))
        }
        Kind::Rollback => {
            (Method::DELETE, format!("{marathon}/v2/deployments/{}", encode(on)), None)
        }
        Kind::Stop => {
            (Method::DELETE, format!("{marathon}/v2/deployments/{}?force=true", encode(on)), None)
        }
    }
}

fn question(kind: Kind, on: &str, instances: Option<String>) -> Dialog {
    let (title, text, button, danger) = kind.question(on);
    let instances = if kind == Kind::Scale { instances } else { None };
    Dialog {
        kind,
        on: on.to_owned(),
        title,
        text,
        button,
        danger,
        instances,
        problem: None,
        force: false,
    }
}

pub(crate) async fn dialog(
    State(app): State<Arc<App>>,
    Path(kind): Path<Kind>,
    Query(On { on }): Query<On>,
    headers: HeaderMap,
) -> Response {
    let snapshot = app.watcher.snapshot().await;
    let known = snapshot.apps.iter().find(|known| known.id == on);
    let of_service = !matches!(kind, Kind::Kill | Kind::Rollback | Kind::Stop);
    if of_service && known.is_none() {
        return missing(&format!("There is no service {on}. It may have been deleted."));
    }
    let dialog = question(kind, &on, known.map(|known| known.instances.to_string()));
    shown(&app, &dialog, &headers, StatusCode::OK).await
}

async fn shown(app: &App, dialog: &Dialog, headers: &HeaderMap, status: StatusCode) -> Response {
    if headers.contains_key("hx-request") {
        return (status, Html(part(dialog))).into_response();
    }
    let snapshot = app.watcher.snapshot().await;
    let page = Layout::new(app, &snapshot, "services", dialog.title);
    (status, render(&Page { page, dialog: part(dialog) })).into_response()
}

pub(crate) async fn act(
    State(app): State<Arc<App>>,
    Path(kind): Path<Kind>,
    Query(On { on }): Query<On>,
    headers: HeaderMap,
    Form(Answers { instances, force }): Form<Answers>,
) -> Response {
    let mut dialog = question(kind, &on, Some(instances.clone()));
    let number = instances.trim().parse::<u32>();
    if kind == Kind::Scale && number.is_err() {
        dialog.problem = Some("Give a whole number, 0 or more.".to_owned());
        return shown(&app, &dialog, &headers, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let (method, url, body) = request(&app, kind, &on, number.unwrap_or_default(), force == "true");
    let status = match app.upstream.send(method, &url, body).await {
        Ok(Answer { status, .. }) if status.is_success() => {
            app.watcher.touch();
            return done(kind, &on, instances.trim(), &headers);
        }
        Ok(Answer { status, body }) => {
            dialog.problem = Some(message(&body));
            dialog.force = status == StatusCode::CONFLICT;
            status
        }
        Err(error) => {
            dialog.problem = Some(chain(&error));
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    shown(&app, &dialog, &headers, status).await
}

fn done(kind: Kind, on: &str, instances: &str, headers: &HeaderMap) -> Response {
    let path = on.trim_start_matches('/');
    if !headers.contains_key("hx-request") {
        let to = match kind {
            Kind::Delete | Kind::Rollback | Kind::Stop => "/ui/services".to_owned(),
            Kind::Kill => "/ui/tasks".to_owned(),
            Kind::Scale | Kind::Restart | Kind::Suspend | Kind::ResetDelay => {
                format!("/ui/service/{path}")
            }
        };
        return Redirect::to(&to).into_response();
    }
    let mut response = Html("").into_response();
    // JSON in a header must be ASCII: everything else is escaped.
    let told =
        ascii(&json!({ "karman:done": { "message": kind.done(on, instances) } }).to_string());
    if let Ok(told) = HeaderValue::from_str(&told) {
        response.headers_mut().insert(HeaderName::from_static("hx-trigger"), told);
    }
    let here = headers.get("hx-current-url").and_then(|url| url.to_str().ok()).unwrap_or_default();
    if kind == Kind::Delete && here.contains("/ui/service/") {
        let to = HeaderValue::from_static("/ui/services");
        response.headers_mut().insert(HeaderName::from_static("hx-location"), to);
    }
    response
}

fn ascii(text: &str) -> String {
    let escaped = |c: char| {
        if c.is_ascii() {
            return c.to_string();
        }
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    text.chars().map(escaped).collect()
}
