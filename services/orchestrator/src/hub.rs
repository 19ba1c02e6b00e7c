//! Events for subscribers: numbered, kept for a while, delivered through
//! bounded queues. A subscriber that is too slow is cut off and can come back
//! with the number of the last event it got.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use karman_api::marathon::v2::time;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::machine::Published;

/// Events that a returning subscriber can still get.
const REPLAY_MAX: usize = 4096;
/// Events that a subscriber may be behind.
const BEHIND_MAX: usize = 1024;

/// An event as it is sent.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) kind: &'static str,
    pub(crate) data: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Hub {
    ring: Arc<Mutex<Ring>>,
    sender: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug)]
struct Ring {
    next: u64,
    events: VecDeque<Arc<Event>>,
}

impl Hub {
    /// Numbers start at the time of the start, so that they grow across
    /// restarts.
    pub(crate) fn new(now_ms: u64) -> Self {
        let ring = Ring { next: now_ms.saturating_mul(1000), events: VecDeque::new() };
        Self { ring: Arc::new(Mutex::new(ring)), sender: broadcast::channel(BEHIND_MAX).0 }
    }

    pub(crate) fn publish(&self, now_ms: u64, event: Published) {
        let Published { kind, mut data } = event;
        if let Value::Object(map) = &mut data {
            map.insert("eventType".into(), kind.into());
            map.insert("timestamp".into(), time::format(now_ms).into());
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Arc::new(Event { id: ring.next, kind, data: data.to_string() });
        ring.next += 1;
        if ring.events.len() == REPLAY_MAX {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::clone(&event));
        // Sent under the lock: replay and live events must not overlap. Nobody
        // listening is no failure.
        let _listeners = self.sender.send(event);
    }

    /// The events after `last` that are still kept, and all later ones.
    pub(crate) fn subscribe(
        &self,
        last: Option<u64>,
    ) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let missed =
            last.map(|last| ring.events.iter().filter(|event| event.id > last).cloned().collect());
        (missed.unwrap_or_default(), self.sender.subscribe())
    }
}
