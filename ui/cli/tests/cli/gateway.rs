//! A gateway that answers what it was told to, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// `METHOD path?query`
    pub line: String,
    pub body: Value,
    pub authorization: String,
    pub accept: String,
}

#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Bytes,
}

#[derive(Debug, Default)]
struct Script {
    /// For each `METHOD path`: the answers in turn; the last one stays.
    replies: BTreeMap<String, VecDeque<Reply>>,
    asked: Vec<Asked>,
}

#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script }
    }

    /// Answers `METHOD path` with JSON; several answers are given in turn.
    pub(crate) fn on(&self, line: &str, status: u16, body: &Value) -> &Self {
        self.on_raw(line, status, "application/json", body.to_string())
    }

    pub(crate) fn on_raw(
        &self,
        line: &str,
        status: u16,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> &Self {
        let reply = Reply { status, content_type, body: body.into() };
        self.script.lock().unwrap().replies.entry(line.to_owned()).or_default().push_back(reply);
        self
    }

    /// The requests so far, as `METHOD path?query`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.iter().map(|asked| asked.line.clone()).collect()
    }

    /// The last request that began like this.
    #[track_caller]
    pub(crate) fn asked(&self, line: &str) -> Asked {
        let script = self.script.lock().unwrap();
        let found = script.asked.iter().rev().find(|asked| asked.line.starts_with(line));
        found.unwrap_or_else(|| panic!("no {line} in {:#?}", script.asked)).clone()
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let mut script = script.lock().unwrap();
    script.asked.push(Asked {
        line: format!("{} {}", parts.method, parts.uri),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        authorization: header("authorization"),
        accept: header("accept"),
    });
    let reply =
        script.replies.get_mut(&format!("{} {}", parts.method, parts.uri.path())).map(|replies| {
            if replies.len() > 1 {
                replies.pop_front().unwrap()
            } else {
                replies.front().unwrap().clone()
            }
        });
    match reply {
        Some(Reply { status, content_type, body }) => Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(body.into())
            .unwrap(),
        None => (axum::http::StatusCode::NOT_FOUND, "no such page").into_response(),
    }
}
