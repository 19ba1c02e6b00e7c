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

use super::Shared;
use crate::core::Request;
use crate::ledger::{self, StreamId};

const HEARTBEAT: Duration = Duration::from_secs(15);

struct Source {
    incoming: mpsc::Receiver<Vec<Event>>,
    heartbeat: Interval,
    codec: Codec,
    _guard: Guard,
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
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let guard = Guard { core: shared.core.clone(), tasks: shared.tasks.clone(), stream };
    let source = Source { incoming, heartbeat, codec, _guard: guard };
    futures::stream::unfold(source, |mut source| async move {
        let events = tokio::select! {
            biased;
            events = source.incoming.recv() => events?,
            _ = source.heartbeat.tick() => vec![heartbeat_event()],
        };
        let mut bytes = BytesMut::new();
        for event in &events {
            bytes.extend_from_slice(&recordio::encode(&source.codec.encode(event)));
        }
        Some((Ok(bytes.freeze()), source))
    })
}

fn heartbeat_event() -> Event {
    Event { r#type: Some(event::Type::Heartbeat.into()), ..Event::default() }
}
