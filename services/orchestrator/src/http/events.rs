//! `GET /v2/events`: the event stream.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::header;
use serde_json::json;
use tokio::sync::broadcast;

use crate::hub::{Event, Hub};
use crate::machine::Published;

use super::error::Error;
use super::{Api, Asked};

/// A comment goes out when nothing else does, so that proxies and clients know
/// that the stream is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);

struct Subscriber {
    hub: Hub,
    address: String,
    missed: VecDeque<Arc<Event>>,
    events: broadcast::Receiver<Arc<Event>>,
    kinds: BTreeSet<String>,
}

impl Api {
    pub(super) fn events(&self, asked: &Asked) -> Result<Response, Error> {
        if !asked.accepts("text/event-stream") {
            return Err(Error::Method);
        }
        let address = asked.client.map(|client| client.ip().to_string()).unwrap_or_default();
        let last = asked.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let (missed, events) = self.hub.subscribe(last);
        self.hub.publish(
            karman_rt::time::now_ms(),
            Published { kind: "event_stream_attached", data: json!({ "remoteAddress": address }) },
        );
        let kinds = asked.query.all("event_type").map(str::to_owned).collect();
        let subscriber =
            Subscriber { hub: self.hub.clone(), address, missed: missed.into(), events, kinds };
        let frames = stream::unfold(subscriber, |mut subscriber| async {
            let frame = subscriber.next().await?;
            Some((Ok::<_, std::convert::Infallible>(frame), subscriber))
        });
        let headers = [(header::CONTENT_TYPE, "text/event-stream")];
        Ok((headers, Body::from_stream(frames)).into_response())
    }
}

impl Subscriber {
    /// The next frame; none ends the stream of a subscriber that fell behind.
    async fn next(&mut self) -> Option<String> {
        loop {
            let event = match self.missed.pop_front() {
                Some(event) => event,
                None => match tokio::time::timeout(HEARTBEAT, self.events.recv()).await {
                    Ok(Ok(event)) => event,
                    Ok(Err(_)) => return None,
                    Err(_) => return Some(": heartbeat\n\n".into()),
                },
            };
            if self.kinds.is_empty() || self.kinds.contains(event.kind) {
                return Some(format!(
                    "id: {}\nevent: {}\ndata: {}\n\n",
                    event.id, event.kind, event.data
                ));
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let data = json!({ "remoteAddress": self.address });
        self.hub
            .publish(karman_rt::time::now_ms(), Published { kind: "event_stream_detached", data });
    }
}
