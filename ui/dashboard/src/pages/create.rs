//! `/ui/create`: a new service, by form or as JSON. Nothing typed is lost: the
//! page comes back with it and with what is wrong beside each field.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use bytes::Bytes;
use http::{Method, StatusCode};
use karman_rt::chain;
use serde::Deserialize;
use serde_json::Value;

use super::layout::Layout;
use super::{App, render};
use crate::upstream::Answer;
use crate::view::form::{self, Problems};
use crate::wire::marathon::Refusal;

#[derive(Template)]
#[template(path = "pages/create.html")]
struct Page {
    page: Layout,
    form: form::Form,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "pages/create_json.html")]
struct JsonPage {
    page: Layout,
    json: String,
    problems: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Json {
    json: String,
}

/// Where the editor starts from when nothing was typed.
const EXAMPLE: &str = r#"{
  "id": "/my-service",
  "cmd": "python3 -m http.server $PORT0",
  "instances": 1,
  "cpus": 0.1,
  "mem": 64,
  "portDefinitions": [{ "port": 0, "name": "web" }]
}"#;

async fn layout(app: &App) -> Layout {
    let snapshot = app.watcher.snapshot().await;
    Layout::new(app, &snapshot, "services", "Create service")
}

pub(super) async fn page(State(app): State<Arc<App>>) -> Response {
    let page = layout(&app).await;
    render(&Page { page, form: form::Form::default(), problems: Problems::default() })
}

pub(super) async fn apply(State(app): State<Arc<App>>, Form(form): Form<form::Form>) -> Response {
    let problems = match form::app(&form) {
        Ok(value) => match create(&app, &value).await {
            Ok(to) => return to,
            Err(problems) => problems,
        },
        Err(problems) => problems,
    };
    let page = layout(&app).await;
    (StatusCode::UNPROCESSABLE_ENTITY, render(&Page { page, form, problems })).into_response()
}

/// Asks the orchestrator; a success leads to the new service.
async fn create(app: &App, value: &Value) -> Result<Response, Problems> {
    let general = |text: String| Problems { general: vec![text], ..Problems::default() };
    let url = format!("{}/v2/apps", app.config.marathon);
    let body = Bytes::from(value.to_string());
    let Answer { status, body } = app
        .upstream
        .send(Method::POST, &url, Some(body))
        .await
        .map_err(|error| general(chain(&error)))?;
    if !status.is_success() {
        let refusal: Refusal = serde_json::from_slice(&body).map_err(|_| {
            general(format!(
                "The orchestrator answered {status}: {}",
                crate::upstream::message(&body)
            ))
        })?;
        return Err(form::problems(&refusal));
    }
    app.watcher.touch();
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    let path: Vec<String> = id.trim_matches('/').split('/').map(crate::upstream::encode).collect();
    Ok(Redirect::to(&format!("/ui/service/{}", path.join("/"))).into_response())
}

/// Turns what was typed in the form into the JSON that it stands for.
pub(super) async fn to_json(State(app): State<Arc<App>>, Form(form): Form<form::Form>) -> Response {
    let page = layout(&app).await;
    match form::app(&form) {
        Ok(value) => {
            let json = serde_json::to_string_pretty(&value).unwrap_or_default();
            render(&JsonPage { page, json, problems: Vec::new() })
        }
        Err(problems) => (StatusCode::UNPROCESSABLE_ENTITY, render(&Page { page, form, problems }))
            .into_response(),
    }
}

pub(super) async fn json_page(State(app): State<Arc<App>>) -> Response {
    let page = layout(&app).await;
    render(&JsonPage { page, json: EXAMPLE.to_owned(), problems: Vec::new() })
}

pub(super) async fn apply_json(
    State(app): State<Arc<App>>,
    Form(Json { json }): Form<Json>,
) -> Response {
    let problems = match serde_json::from_str::<Value>(&json) {
        Ok(value) => match create(&app, &value).await {
            Ok(to) => return to,
            Err(problems) => listed(problems),
        },
        Err(error) => vec![format!("This is not valid JSON: {error}")],
    };
    let page = layout(&app).await;
    (StatusCode::UNPROCESSABLE_ENTITY, render(&JsonPage { page, json, problems })).into_response()
}

/// Problems where there are no fields to put them beside.
pub(super) fn listed(problems: Problems) -> Vec<String> {
    let Problems { fields, general } = problems;
    let fields = fields.into_iter().map(|(field, text)| format!("{field}: {text}"));
    general.into_iter().chain(fields).collect()
}
