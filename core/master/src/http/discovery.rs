//! `GET /karman/v1/discovery`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use karman_api::karman::discovery::{KEEP_ALIVE_SECONDS, Message};

use tokio_util::sync::CancellationToken;

use super::renders::Gate;
use super::{Asked, Shared, answer, cutoff};
use crate::discovery::{Line, line};

pub(super) async fn follow(shared: &Shared, asked: &Asked) -> Response {
    let followers = shared.followers.get().unwrap_or(&shared.relay);
    let ended = CancellationToken::new();
    let read = cutoff::watch(shared, asked.connection.clone(), ended.clone());
    let Some(incoming) = followers.follow(ended.drop_guard()).await else {
        return answer::stopping();
    };
    let gate = shared.renders.answers.clone();
    let start = (incoming, None, gate, read);
    let body =
        futures::stream::unfold(start, |(mut incoming, generation, gate, read)| async move {
            let quiet = Duration::from_secs(KEEP_ALIVE_SECONDS);
            let received = match generation {
                // The first line must be the full snapshot, however long it takes.
                None => Ok(incoming.recv().await),
                Some(_) => tokio::time::timeout(quiet, incoming.recv()).await,
            };
            let (generation, text) = match (received, generation) {
                (Ok(received), _) => words(received?, &gate).await?,
                (Err(_quiet), generation) => keep_alive(generation.unwrap_or_default()),
            };
            Some((Ok::<Bytes, Infallible>(text), (incoming, Some(generation), gate, read)))
        });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Generation and text; `None` if it could not be written.
async fn words(line: Line, gate: &Gate) -> Option<(u64, Bytes)> {
    match line {
        Line::Text { generation, text } => Some((generation, text)),
        Line::Full(full) => {
            let generation = full.generation;
            // A large cluster takes long enough to hold up others.
            let turn = gate.line().await.ok()?;
            let written = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                full.text()
            });
            let text = written.await.ok()?;
            Some((generation, text))
        }
    }
}

fn keep_alive(generation: u64) -> (u64, Bytes) {
    (generation, line(&Message { generation, ..Message::default() }))
}
