//! Where events and messages leave: a bounded queue per framework and agent.
//! Whoever does not keep up is cut off and comes back by itself.

use std::collections::{BTreeMap, VecDeque};

use karman_api::mesos::v1::scheduler;
use karman_api::session::master_message::Body;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::ledger::{Effect, Event, Report, SessionId, StreamId};

/// Groups of events that wait for a framework to read them; all that happens at
/// once is one group.
pub(crate) const EVENTS_QUEUE_MAX: usize = 8192;
/// Events that wait for a framework to read them, over all groups. One group may
/// have more, such as the answer to a reconciliation of everything: it counts
/// for half of this.
const EVENTS_WAITING_MAX: usize = 200_000;
/// Messages that wait for an agent to read them.
pub(crate) const MESSAGES_QUEUE_MAX: usize = 16_384;

/// A framework's queue, and the sizes of the groups that wait in it.
#[derive(Debug)]
struct Stream {
    events: mpsc::Sender<Vec<scheduler::Event>>,
    _open: DropGuard,
    waiting: VecDeque<usize>,
    sum: usize,
    /// What `sum` may become.
    limit: usize,
}

impl Stream {
    fn send(
        &mut self,
        group: Vec<scheduler::Event>,
    ) -> Result<(), mpsc::error::TrySendError<Vec<scheduler::Event>>> {
        let unread = self.events.max_capacity() - self.events.capacity();
        while self.waiting.len() > unread {
            self.sum -= self.waiting.pop_front().unwrap_or_default();
        }
        let size = group.len().min(self.limit / 2);
        if self.sum + size > self.limit {
            return Err(mpsc::error::TrySendError::Full(group));
        }
        self.events.try_send(group)?;
        self.waiting.push_back(size);
        self.sum += size;
        Ok(())
    }
}

#[derive(Debug)]
struct Session {
    messages: mpsc::Sender<Box<Body>>,
    reader: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Outlets {
    streams: BTreeMap<StreamId, Stream>,
    sessions: BTreeMap<SessionId, Session>,
}

impl Outlets {
    pub(super) fn add_stream(
        &mut self,
        stream: &StreamId,
        events: mpsc::Sender<Vec<scheduler::Event>>,
        open: DropGuard,
    ) {
        let limit = EVENTS_WAITING_MAX;
        let waiting = VecDeque::new();
        let outlet = Stream { events, _open: open, waiting, sum: 0, limit };
        self.streams.insert(StreamId::clone(stream), outlet);
    }

    pub(super) fn add_session(
        &mut self,
        session: SessionId,
        messages: mpsc::Sender<Box<Body>>,
        reader: CancellationToken,
    ) {
        self.sessions.insert(session, Session { messages, reader });
    }

    /// Sends everything; returns what follows from those who were cut off.
    pub(super) fn release(&mut self, effects: Vec<Effect>) -> Vec<Event> {
        let mut followups = Vec::new();
        let mut groups: BTreeMap<StreamId, Vec<scheduler::Event>> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Save(_) => {}
                Effect::Send { stream, event } => groups.entry(stream).or_default().push(*event),
                Effect::CloseStream(stream) => {
                    if let Some(events) = groups.remove(&stream) {
                        self.send(&stream, events);
                    }
                    self.streams.remove(&stream);
                }
                Effect::Tell { session, message } => followups.extend(self.tell(session, message)),
                Effect::CloseSession(session) => self.close(session),
                Effect::Report(Report::ReservationsLost { agent, lost }) => {
                    warn!(%agent, %lost, "an agent came back without what was reserved on it");
                }
            }
        }
        for (stream, events) in groups {
            followups.extend(self.send(&stream, events));
        }
        followups
    }

    fn send(&mut self, stream: &StreamId, events: Vec<scheduler::Event>) -> Option<Event> {
        match self.streams.get_mut(stream)?.send(events) {
            Ok(()) => return None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                warn!(stream = %stream, "framework does not read its events and is disconnected");
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
        self.streams.remove(stream);
        Some(Event::StreamClosed { stream: StreamId::clone(stream) })
    }

    fn tell(&mut self, session: SessionId, body: Box<Body>) -> Option<Event> {
        let outlet = self.sessions.get(&session)?;
        match outlet.messages.try_send(body) {
            Ok(()) => return None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                warn!(session = session.0, "agent does not read its messages and is disconnected");
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
        self.close(session);
        Some(Event::SessionClosed { session })
    }

    fn close(&mut self, session: SessionId) {
        if let Some(Session { messages: _, reader }) = self.sessions.remove(&session) {
            reader.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(events: usize) -> Vec<scheduler::Event> {
        vec![scheduler::Event::default(); events]
    }

    #[test]
    fn who_does_not_read_is_cut_off_by_the_number_of_events() {
        let (events, mut receiver) = mpsc::channel(EVENTS_QUEUE_MAX);
        let _open = CancellationToken::new().drop_guard();
        let mut stream = Stream { events, _open, waiting: VecDeque::new(), sum: 0, limit: 10 };
        stream.send(group(100)).expect("one group may be large");
        stream.send(group(5)).expect("there is room");
        receiver.try_recv().expect("a group waits");
        stream.send(group(5)).expect("what was read makes room");
        assert!(stream.send(group(1)).is_err());
    }
}
