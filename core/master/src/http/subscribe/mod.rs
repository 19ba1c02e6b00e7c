//! The operators' event stream: what happens to agents, frameworks and tasks, as
//! records in the codec of the reader.

mod events;
mod hub;
mod queue;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use karman_api::codec::Codec;
use karman_api::mesos::v1::master::{Event, event};
use karman_api::recordio;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::DropGuard;

pub(crate) use self::hub::Hub;
use self::queue::Reader;
use super::render::wire;
use super::renders::Gate;
use super::{Asked, Shared, answer, cutoff};
use crate::ledger::View;

const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream says next.
enum Stage {
    /// Everything there is, and the heartbeat that follows it.
    Beginning(Arc<View>),
    Going,
}

struct Source {
    stage: Stage,
    reader: Reader,
    heartbeat: Interval,
    codec: Codec,
    gate: Gate,
    /// Lives as long as somebody can read.
    _read: DropGuard,
}

pub(super) async fn follow(shared: &Shared, asked: &Asked, codec: Codec) -> Response {
    let Some((view, reader)) = shared.hub.subscribe(codec).await else {
        return answer::stopping();
    };
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let read = cutoff::watch(shared, asked.connection.clone(), reader.ended());
    let (stage, gate) = (Stage::Beginning(view), shared.renders.answers.clone());
    let source = Source { stage, reader, heartbeat, codec, gate, _read: read };
    let body = futures::stream::unfold(source, |mut source| async move {
        let bytes = source.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), source))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(codec.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Source {
    /// `None` when the reader was too slow, or the master ends.
    async fn next(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.stage, Stage::Going) {
            Stage::Beginning(view) => {
                let codec = self.codec;
                let turn = self.gate.line().await.ok()?;
                let written = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    beginning(&view, codec)
                });
                written.await.ok()
            }
            Stage::Going => tokio::select! {
                biased;
                records = self.reader.next() => records,
                _ = self.heartbeat.tick() => Some(record(&heartbeat(), self.codec)),
            },
        }
    }
}

fn record(event: &Event, codec: Codec) -> Bytes {
    recordio::encode(&codec.encode(event))
}

fn heartbeat() -> Event {
    Event { r#type: Some(event::Type::Heartbeat.into()), ..Event::default() }
}

fn beginning(view: &View, codec: Codec) -> Bytes {
    let subscribed = event::Subscribed {
        get_state: Some(wire::state(view)),
        heartbeat_interval_seconds: Some(HEARTBEAT.as_secs_f64()),
    };
    let subscribed = Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(subscribed),
        ..Event::default()
    };
    [record(&subscribed, codec), record(&heartbeat(), codec)].concat().into()
}
