//! A master, an orchestrator and an agent in one: answers of the fixture, a
//! record of what was changed, and a log that grows.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt as _;
use karman_rt::Tasks;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::view::fixture;

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) url: String,
    state: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    changes: Mutex<Vec<String>>,
    log: Mutex<String>,
    /// How many instances `/web` shall have; each value is an event.
    web: watch::Sender<u32>,
}

impl Fake {
    pub(super) async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared {
            port,
            changes: Mutex::default(),
            log: Mutex::default(),
            web: watch::channel(3).0,
        };
        let state = Arc::new(shared);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        karman_rt::http::serve("fake", listener, router, tasks);
        Self { url: format!("http://127.0.0.1:{port}"), state }
    }

    pub(super) fn changes(&self) -> Vec<String> {
        self.state.changes.lock().unwrap().clone()
    }

    pub(super) fn write(&self, text: &str) {
        self.state.log.lock().unwrap().push_str(text);
    }

    pub(super) fn scale_web(&self, instances: u32) {
        self.state.web.send_replace(instances);
    }
}

#[derive(serde::Deserialize)]
struct Read {
    #[serde(default)]
    path: String,
    #[serde(default)]
    offset: i64,
    #[serde(default)]
    length: usize,
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    Query(read): Query<Read>,
    body: Bytes,
) -> Response {
    if method != Method::GET {
        return change(&shared, &method, &uri, &body);
    }
    match uri.path() {
        "/v2/events" => events(&shared),
        path if path.starts_with("/files/") => files(&shared, path, &read),
        path => match fixture::answer(path) {
            Some(value) => Json(adapted(&shared, path, value)).into_response(),
            None => {
                (StatusCode::NOT_FOUND, Json(json!({ "message": "no such thing" }))).into_response()
            }
        },
    }
}

/// The fixture with the agent's address and the wanted size of `/web`.
fn adapted(shared: &Shared, path: &str, mut value: Value) -> Value {
    if path == "/slaves" {
        for slave in value["slaves"].as_array_mut().unwrap() {
            slave["pid"] = json!(format!("slave(1)@127.0.0.1:{}", shared.port));
        }
    }
    if path == "/v2/apps" {
        value["apps"][0]["instances"] = json!(*shared.web.borrow());
    }
    value
}

fn events(shared: &Shared) -> Response {
    let receiver = shared.web.subscribe();
    let changes = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.changed().await.ok()?;
        let event = Bytes::from_static(b"event: deployment_info\ndata: {}\n\n");
        Some((Ok::<_, std::io::Error>(event), receiver))
    });
    let hello = futures::stream::once(async {
        Ok(Bytes::from_static(b"event: event_stream_attached\ndata: {}\n\n"))
    });
    Body::from_stream(hello.chain(changes)).into_response_with("text/event-stream")
}

trait IntoResponseWith {
    fn into_response_with(self, media_type: &'static str) -> Response;
}

impl IntoResponseWith for Body {
    fn into_response_with(self, media_type: &'static str) -> Response {
        ([("content-type", media_type)], self).into_response()
    }
}

fn files(shared: &Shared, path: &str, read: &Read) -> Response {
    const FOLDER: &str = "/frameworks/F-0/executors/web.instance-1._app.1/runs/latest";
    let log = shared.log.lock().unwrap().clone();
    match (path, read.path.strip_prefix(FOLDER)) {
        ("/files/browse", Some("")) => Json(json!([
            { "path": format!("{FOLDER}/stdout"), "nlink": 1, "size": log.len(), "mtime": 1_795_316_000.5, "mode": "-rw-r--r--", "uid": "root", "gid": "root" },
            { "path": format!("{FOLDER}/data"), "nlink": 2, "size": 4096, "mtime": 1_795_316_000, "mode": "drwxr-xr-x", "uid": "root", "gid": "root" },
        ]))
        .into_response(),
        ("/files/read", Some("/stdout" | "/stderr")) => match usize::try_from(read.offset) {
            Err(_size) => Json(json!({ "data": "", "offset": log.len() })).into_response(),
            Ok(offset) => {
                let end = (offset + read.length).min(log.len());
                Json(json!({ "data": log.get(offset..end).unwrap_or_default(), "offset": offset })).into_response()
            }
        },
        ("/files/download", Some("/stdout")) => log.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn change(shared: &Shared, method: &Method, uri: &Uri, body: &[u8]) -> Response {
    let text = String::from_utf8_lossy(body).into_owned();
    let bad_id = uri.path() == "/v2/apps" && text.contains("\"/refused\"");
    shared.changes.lock().unwrap().push(format!("{method} {uri} {text}"));
    if uri.path().contains("locked") {
        let refusal =
            json!({ "message": "App is locked by one or more deployments.", "deployments": [] });
        return (StatusCode::CONFLICT, Json(refusal)).into_response();
    }
    if bad_id {
        let details = json!([
            { "path": "/id", "errors": ["must be lower case"] },
            { "path": "/upgradeStrategy", "errors": ["is wrong"] },
        ]);
        let refusal = json!({ "message": "Object is not valid", "details": details });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(refusal)).into_response();
    }
    Json(json!({ "version": "2026-11-22T03:00:00.000Z", "deploymentId": "d-1" })).into_response()
}
