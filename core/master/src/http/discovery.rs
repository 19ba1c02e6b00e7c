//! `GET /karman/v1/discovery`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use karman_api::karman::discovery::{KEEP_ALIVE_SECONDS, Message};
use tokio::sync::mpsc;

use super::{Shared, answer};
use crate::core::{DISCOVERY_QUEUE_MAX, Line, Request};

pub(super) async fn follow(shared: &Shared) -> Response {
    let (lines, incoming) = mpsc::channel(DISCOVERY_QUEUE_MAX);
    if shared.core.send(Request::Discover { lines }).await.is_err() {
        return answer::stopping();
    }
    let body = futures::stream::unfold((incoming, None), |(mut incoming, generation)| async move {
        let quiet = Duration::from_secs(KEEP_ALIVE_SECONDS);
        let received = match generation {
            // The first line must be the full snapshot, however long it takes.
            None => Ok(incoming.recv().await),
            Some(_) => tokio::time::timeout(quiet, incoming.recv()).await,
        };
        let line = match (received, generation) {
            (Ok(line), _) => line?,
            (Err(_quiet), generation) => keep_alive(generation.unwrap_or_default()),
        };
        Some((Ok::<Bytes, Infallible>(line.text), (incoming, Some(line.generation))))
    });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn keep_alive(generation: u64) -> Line {
    let message = Message { generation, ..Message::default() };
    let mut text =
        serde_json::to_vec(&message).expect("discovery messages always have a JSON form");
    text.push(b'\n');
    Line { generation, text: text.into() }
}
