//! The body of a framework's event stream: records from its queue, heartbeats
//! in between. Dropping the body is how a framework hangs up.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use karman_api::codec::Codec;
use karman_api::mesos::v1::scheduler::{Event, event};
use karman_api::recordio;
use karman_rt::Tasks;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::DropGuard;

use super::Shared;
use crate::core::Request;
use crate::ledger::{self, StreamId};

const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events that are encoded at once: a group may be as long as the answer to a
/// reconciliation of everything, and others wait for the thread.
const ENCODED_MAX: usize = 256;

struct Source {
    incoming: mpsc::Receiver<Vec<Event>>,
    /// Of a group that is not encoded yet.
    rest: std::vec::IntoIter<Event>,
    heartbeat: Interval,
    codec: Codec,
    _guard: Guard,
    /// Lives as long as somebody can read.
    _read: DropGuard,
}

impl Source {
    async fn next(&mut self) -> Option<Bytes> {
        if self.rest.len() == 0 {
            let events = tokio::select! {
                biased;
                events = self.incoming.recv() => events?,
                _ = self.heartbeat.tick() => vec![heartbeat_event()],
            };
            self.rest = events.into_iter();
        }
        let mut bytes = BytesMut::new();
        for event in self.rest.by_ref().take(ENCODED_MAX) {
            bytes.extend_from_slice(&recordio::encode(&self.codec.encode(&event)));
        }
        Some(bytes.freeze())
    }
}

/// Tells the core that the framework is gone.
struct Guard {
    core: mpsc::Sender<Request>,
    tasks: Tasks,
    stream: StreamId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (core, stream) = (self.core.clone(), StreamId::clone(&self.stream));
        self.tasks.spawn("hang-up", async move {
            // A core that has stopped does not care.
            let _stopped =
                core.send(Request::Happened(ledger::Event::StreamClosed { stream })).await;
        });
    }
}

pub(super) fn stream(
    shared: &Shared,
    stream: StreamId,
    incoming: mpsc::Receiver<Vec<Event>>,
    codec: Codec,
    read: DropGuard,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let guard = Guard { core: shared.core.clone(), tasks: shared.tasks.clone(), stream };
    let rest = Vec::new().into_iter();
    let source = Source { incoming, rest, heartbeat, codec, _guard: guard, _read: read };
    futures::stream::unfold(source, |mut source| async move {
        let bytes = source.next().await?;
        Some((Ok(bytes), source))
    })
}

fn heartbeat_event() -> Event {
    Event { r#type: Some(event::Type::Heartbeat.into()), ..Event::default() }
}
