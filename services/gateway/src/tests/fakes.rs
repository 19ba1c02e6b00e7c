//! All roles in one server: it repeats what it is asked, or does what a path
//! says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use karman_rt::Tasks;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

pub(super) struct Fake {
    pub(super) url: String,
    state: Arc<Shared>,
    say: mpsc::Sender<Bytes>,
}

struct Shared {
    port: u16,
    ill: AtomicBool,
    log: Mutex<String>,
    said: AsyncMutex<Option<mpsc::Receiver<Bytes>>>,
}

/// A base URL where nobody listens.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Fake {
    pub(super) async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (say, said) = mpsc::channel(1);
        let state = Arc::new(Shared {
            port,
            ill: AtomicBool::new(false),
            log: Mutex::default(),
            said: AsyncMutex::new(Some(said)),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        karman_rt::http::serve("fake", listener, router, tasks);
        Self { url: format!("http://127.0.0.1:{port}"), state, say }
    }

    /// The next piece of `/stream`.
    pub(super) async fn say(&self, piece: &str) {
        self.say.send(Bytes::from(piece.to_owned())).await.unwrap();
    }

    pub(super) fn write(&self, text: &str) {
        self.state.log.lock().unwrap().push_str(text);
    }

    pub(super) fn fall_ill(&self) {
        self.state.ill.store(true, Ordering::Relaxed);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let uri = request.uri().clone();
    let query = uri.query().unwrap_or_default();
    match uri.path() {
        "/health" if shared.ill.load(Ordering::Relaxed) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/slaves" => Json(json!({ "slaves": [{
            "id": "S0", "hostname": "127.0.0.1", "pid": format!("slave(1)@127.0.0.1:{}", shared.port), "active": true,
        }]}))
        .into_response(),
        "/v2/apps" if query.contains("label=DCOS_SERVICE_NAME") => Json(apps(&shared)).into_response(),
        "/tasks" => Json(tasks(query)).into_response(),
        "/elsewhere" => (StatusCode::FOUND, [(header::LOCATION, "/v2/apps")]).into_response(),
        "/headers" => format!("{:?}", request.headers()).into_response(),
        "/break-off" => broken_off(),
        "/stream" => stream(&shared).await,
        "/echo" | "/duplex" => echo(request),
        "/swallow" => swallow(request).await,
        path if path.starts_with("/files/") => files(&shared, path, query),
        _ => format!("{} {uri}", request.method()).into_response(),
    }
}

/// An answer whose connection ends before its head is sent.
fn broken_off() -> Response {
    let cut = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    // Nothing is sent before the first piece, which never comes.
    Body::from_stream(cut).into_response()
}

fn apps(shared: &Shared) -> Value {
    json!({ "apps": [{
        "id": "/web", "labels": { "DCOS_SERVICE_NAME": "web" },
        "tasks": [{ "host": "127.0.0.1", "state": "TASK_RUNNING", "ports": [shared.port] }],
    }]})
}

fn tasks(query: &str) -> Value {
    if !query.contains("task_id=web.1") {
        return json!({ "tasks": [] });
    }
    json!({ "tasks": [{ "id": "web.1", "framework_id": "F", "executor_id": "", "slave_id": "S0", "state": "TASK_RUNNING" }] })
}

async fn stream(shared: &Shared) -> Response {
    let receiver = shared.said.lock().await.take().unwrap();
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

fn echo(request: Request) -> Response {
    let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body());
    if let Some(media_type) = media_type {
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    }
    response
}

/// Answers only once the whole body is here, as roles do that read JSON.
async fn swallow(request: Request) -> Response {
    match axum::body::to_bytes(request.into_body(), usize::MAX).await {
        Ok(body) => body.len().to_string().into_response(),
        Err(_cut) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn files(shared: &Shared, path: &str, query: &str) -> Response {
    let log = shared.log.lock().unwrap().clone();
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .to_owned()
    };
    let file = crate::route::decode(&parameter("path"));
    let known = file == "/frameworks/F/executors/web.1/runs/latest/stdout";
    match path {
        "/files/browse" => {
            Json(json!([{ "path": format!("{file}/stdout"), "size": log.len() }])).into_response()
        }
        "/files/read" if known => match parameter("offset").parse::<usize>() {
            Err(_size) => Json(json!({ "data": "", "offset": log.len() })).into_response(),
            Ok(offset) => {
                let length: usize = parameter("length").parse().unwrap();
                let end = (offset + length).min(log.len());
                Json(json!({ "data": log.get(offset..end).unwrap_or_default(), "offset": offset }))
                    .into_response()
            }
        },
        "/files/download" if known => log.into_response(),
        _ if file.contains("/../") => {
            (StatusCode::FORBIDDEN, "The path leads out of its sandbox.").into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
