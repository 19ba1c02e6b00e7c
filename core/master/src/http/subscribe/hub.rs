//! The task that turns facts into events, once for all readers of a codec.
//!
//! Inputs: readers that come, what the core leaves in [`Facts`]. A reader has a
//! bounded queue; one that is too slow is cut off and may start over. Nothing
//! here can hold up the core.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use karman_api::codec::Codec;
use karman_api::mesos::v1::master::Event;
use karman_rt::Tasks;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use super::queue::{Inlet, Reader, queue};
use super::{events, record};
use crate::core::Facts;
use crate::ledger::{Touched, View};

/// Readers at a time; the oldest makes room for one more.
const READERS_MAX: usize = 1000;
/// Readers that wait to be let in.
const NEWCOMERS_MAX: usize = 64;

#[derive(Debug)]
struct Newcomer {
    codec: Codec,
    reply: oneshot::Sender<(Arc<View>, Reader)>,
}

#[derive(Debug)]
struct Outlet {
    codec: Codec,
    inlet: Inlet,
}

/// Lets readers in.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    newcomers: mpsc::Sender<Newcomer>,
    count: Arc<AtomicUsize>,
}

impl Hub {
    pub(crate) fn spawn(facts: Facts, snapshot: watch::Receiver<Arc<View>>, tasks: &Tasks) -> Self {
        let (newcomers, incoming) = mpsc::channel(NEWCOMERS_MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let running = Running {
            facts,
            snapshot,
            incoming,
            outlets: VecDeque::new(),
            known: None,
            count: Arc::clone(&count),
        };
        tasks.spawn("operator-events", running.run());
        Self { newcomers, count }
    }

    /// The state at which the reader's records begin; `None`: the master ends.
    pub(super) async fn subscribe(&self, codec: Codec) -> Option<(Arc<View>, Reader)> {
        let (reply, let_in) = oneshot::channel();
        self.newcomers.send(Newcomer { codec, reply }).await.ok()?;
        let_in.await.ok()
    }

    /// Operators that read now.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

struct Running {
    facts: Facts,
    snapshot: watch::Receiver<Arc<View>>,
    incoming: mpsc::Receiver<Newcomer>,
    /// The oldest first.
    outlets: VecDeque<Outlet>,
    /// What all readers have been told; `None` while there are none.
    known: Option<Arc<View>>,
    count: Arc<AtomicUsize>,
}

impl Running {
    async fn run(mut self) {
        loop {
            tokio::select! {
                (view, touched) = self.facts.next() => self.tell(view, touched).await,
                newcomer = self.incoming.recv() => match newcomer {
                    Some(newcomer) => self.let_in(newcomer),
                    None => return,
                },
            }
            self.count.store(self.outlets.len(), Ordering::Relaxed);
        }
    }

    fn let_in(&mut self, newcomer: Newcomer) {
        let Newcomer { codec, reply } = newcomer;
        // In this order: a change that is not kept is in the snapshot.
        self.facts.listen();
        let snapshot = &self.snapshot;
        let known = self.known.get_or_insert_with(|| Arc::clone(&snapshot.borrow()));
        let (inlet, reader) = queue();
        if reply.send((Arc::clone(known), reader)).is_err() {
            return;
        }
        self.outlets.retain(|outlet| !outlet.inlet.is_closed());
        if self.outlets.len() >= READERS_MAX {
            info!(most = READERS_MAX, "the oldest reader of operator events makes room");
            self.outlets.pop_front();
        }
        self.outlets.push_back(Outlet { codec, inlet });
    }

    async fn tell(&mut self, view: Arc<View>, touched: Touched) {
        self.outlets.retain(|outlet| !outlet.inlet.is_closed());
        let Some(known) = self.known.take().filter(|_| !self.outlets.is_empty()) else {
            return self.facts.stop_listening();
        };
        let codecs: Vec<Codec> = [Codec::Json, Codec::Protobuf]
            .into_iter()
            .filter(|codec| self.outlets.iter().any(|outlet| outlet.codec == *codec))
            .collect();
        let now = Arc::clone(&view);
        let encoding = tokio::task::spawn_blocking(move || {
            let events = events::between(&known, &now, &touched);
            codecs.into_iter().map(|codec| (codec, encode(&events, codec))).collect::<Vec<_>>()
        });
        let Ok(groups) = encoding.await else {
            // Nobody may miss something and not know it: all start over.
            self.outlets.clear();
            return self.facts.stop_listening();
        };
        self.known = Some(view);
        self.outlets.retain(|outlet| {
            if outlet.inlet.is_closed() {
                return false;
            }
            let group = groups.iter().find(|(codec, _)| *codec == outlet.codec);
            group.is_none_or(|(_, bytes)| bytes.is_empty() || outlet.inlet.push(bytes))
        });
    }
}

fn encode(events: &[Event], codec: Codec) -> Bytes {
    let mut bytes = BytesMut::new();
    for event in events {
        bytes.extend_from_slice(&record(event, codec));
    }
    bytes.freeze()
}
