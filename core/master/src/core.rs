//! The one task that owns the ledger.
//!
//! Inputs: requests from a bounded queue, time. For all requests that wait it
//! applies their events, lets the allocator run once, commits what must be
//! durable, and only then sends anything to anybody. Nobody who reads slowly can
//! stop it: their queues are bounded and overflow cuts them off.

mod facts;
mod outlets;
mod publish;
mod timings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use karman_allocator::{Part, Role};
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler;
use karman_api::session::master_message::Body;
use karman_model::id::{AgentId, FrameworkId};
use karman_model::time::Timestamp;
use karman_rt::time::now_ms;
use karman_store::{Change, Leadership, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::ledger::{
    CallGate, Command, Effect, Event, Key, Ledger, Refusal, Registration, SessionId, StreamId, View,
};
use crate::stored;
use crate::validate;

pub(crate) use facts::Facts;
pub(crate) use outlets::{EVENTS_QUEUE_MAX, MESSAGES_QUEUE_MAX};
pub(crate) use timings::{Samples, Timings};

/// Requests that wait for the core; senders wait when it is full.
pub(crate) const REQUESTS_MAX: usize = 4096;
/// Requests that share one run of the allocator and one commit.
const BATCH_MAX: usize = 512;
/// Between two tries to commit while the store is not available.
const COMMIT_RETRY: Duration = Duration::from_millis(200);

/// What the shell asks of the core.
#[derive(Debug)]
pub(crate) enum Request {
    /// A framework has opened an event stream.
    Subscribe {
        stream: StreamId,
        events: mpsc::Sender<Vec<scheduler::Event>>,
        /// Goes when the stream is closed.
        open: DropGuard,
        info: Box<v1::FrameworkInfo>,
        suppressed: Vec<String>,
        constraints: Option<Box<scheduler::OfferConstraints>>,
    },
    Call {
        framework: FrameworkId,
        stream: Option<String>,
        principal: Option<Arc<str>>,
        call: Box<scheduler::Call>,
        /// Absent: the caller has been answered already, since nothing of the
        /// call is stored and a snapshot let it in.
        reply: Option<oneshot::Sender<CallGate>>,
    },
    Update {
        framework: FrameworkId,
        stream: Option<String>,
        principal: Option<Arc<str>>,
        info: Box<v1::FrameworkInfo>,
        suppressed: Vec<String>,
        constraints: Option<Box<scheduler::OfferConstraints>>,
        reply: oneshot::Sender<Result<CallGate, validate::framework::Error>>,
    },
    /// An agent has opened a session.
    Register {
        session: SessionId,
        messages: mpsc::Sender<Box<Body>>,
        /// Stops reading from the agent.
        reader: CancellationToken,
        register: Box<Registration>,
        ip: IpAddr,
    },
    /// An operator wants a change.
    Command {
        command: Box<Command>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Question(Question),
    Happened(Event),
}

/// What only the core knows. Each is answered in a moment, whatever the size of
/// the cluster.
#[derive(Debug)]
pub(crate) enum Question {
    /// Why the framework is not offered the agents from that one on.
    Offers {
        framework: FrameworkId,
        role: Role,
        from: Option<AgentId>,
        most: usize,
        reply: oneshot::Sender<Part>,
    },
    /// How many agents are declined in each role.
    Filters { reply: oneshot::Sender<BTreeMap<Role, usize>> },
    /// In which roles frameworks want no offers.
    Suppressed { reply: oneshot::Sender<BTreeMap<FrameworkId, BTreeSet<Role>>> },
}

/// Why the core cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("another master leads now")]
    Deposed,
    #[error("the state of the master cannot be stored")]
    Store(#[source] karman_store::Error),
}

pub(crate) struct Core {
    ledger: Ledger,
    requests: mpsc::Receiver<Request>,
    store: Arc<dyn Store>,
    leadership: Leadership,
    outlets: outlets::Outlets,
    publisher: publish::Publisher,
    timings: Timings,
    /// What follows from cutting somebody off.
    followups: VecDeque<Event>,
}

impl Core {
    pub(crate) fn new(
        ledger: Ledger,
        requests: mpsc::Receiver<Request>,
        store: Arc<dyn Store>,
        leadership: Leadership,
        views: watch::Sender<Arc<View>>,
        facts: Vec<Facts>,
        timings: Timings,
    ) -> Self {
        Self {
            publisher: publish::Publisher::new(views, facts),
            ledger,
            requests,
            store,
            leadership,
            outlets: outlets::Outlets::default(),
            timings,
            followups: VecDeque::new(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut lost = self.leadership.lost.clone();
        loop {
            let wait = self.wait();
            let first = tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(wait) => None,
                _ = lost.wait_for(|lost| *lost) => return Err(Error::Deposed),
            };
            let now = Timestamp(now_ms());
            let mut batch = Batch::default();
            self.fill(now, first, &mut batch);
            let begun = Instant::now();
            batch.effects.extend(self.ledger.allocate(now));
            self.timings.allocated(begun.elapsed());
            self.commit(&batch).await?;
            let commands = self.release(batch);
            let urgent = commands.iter().any(|(_, result)| result.is_ok());
            self.publisher.publish(&mut self.ledger, Timestamp(now_ms()), urgent);
            for (reply, result) in commands {
                // Operators read next what they have written.
                let _gone = reply.send(result);
            }
        }
    }

    /// Until something is due.
    fn wait(&self) -> Duration {
        if !self.followups.is_empty() {
            return Duration::ZERO;
        }
        let now = Timestamp(now_ms());
        let due = [self.ledger.next_deadline(), self.publisher.next_deadline()]
            .into_iter()
            .flatten()
            .min();
        // A day is as good as never.
        due.map_or(Duration::from_secs(86_400), |due| due.since(now))
    }

    /// Applies everything that waits.
    fn fill(&mut self, now: Timestamp, first: Option<Request>, batch: &mut Batch) {
        batch.effects.extend(self.ledger.apply(now, Event::Tick));
        while let Some(event) = self.followups.pop_front() {
            batch.effects.extend(self.ledger.apply(now, event));
        }
        let mut next = first;
        for _ in 0..BATCH_MAX {
            let Some(request) = next.take() else { break };
            self.handle(now, request, batch);
            next = self.requests.try_recv().ok();
        }
        // The one that no longer fitted.
        if let Some(request) = next {
            self.handle(now, request, batch);
        }
        self.publisher.changed();
    }

    fn handle(&mut self, now: Timestamp, request: Request, batch: &mut Batch) {
        let event = match request {
            Request::Subscribe { stream, events, open, info, suppressed, constraints } => {
                self.outlets.add_stream(&stream, events, open);
                Event::Subscribe { stream, info, suppressed, constraints }
            }
            Request::Call { framework, stream, principal, call, reply } => {
                let gate = self.ledger.gate(&framework, stream.as_deref(), principal.as_deref());
                batch.gates.extend(reply.map(|reply| (reply, gate)));
                if gate != CallGate::Open {
                    return;
                }
                Event::Call { framework, call }
            }
            Request::Update {
                framework,
                stream,
                principal,
                info,
                suppressed,
                constraints,
                reply,
            } => {
                let gate = self.ledger.gate(&framework, stream.as_deref(), principal.as_deref());
                let result = match gate {
                    CallGate::Open => self
                        .ledger
                        .update_framework(&framework, *info, &suppressed, constraints)
                        .map(|effects| {
                            batch.effects.extend(effects);
                            gate
                        }),
                    _closed => Ok(gate),
                };
                batch.updates.push((reply, result));
                return;
            }
            Request::Register { session, messages, reader, register, ip } => {
                info!(ip = %ip, tasks = register.tasks(), "agent registers");
                self.outlets.add_session(session, messages, reader);
                Event::Register { session, register, ip }
            }
            Request::Command { command, reply } => {
                let result = self.ledger.command(now, *command);
                let result = result.map(|effects| batch.effects.extend(effects));
                batch.commands.push((reply, result));
                return;
            }
            Request::Question(question) => return self.answer(question),
            Request::Happened(event) => event,
        };
        batch.effects.extend(self.ledger.apply(now, event));
    }

    fn answer(&self, question: Question) {
        let allocator = self.ledger.allocator();
        // Who has hung up does not mind.
        match question {
            Question::Offers { framework, role, from, most, reply } => {
                let part = allocator.explain_some(&framework, &role, from.as_ref(), most);
                let _gone = reply.send(part);
            }
            Question::Filters { reply } => {
                let _gone = reply.send(allocator.filters_by_role());
            }
            Question::Suppressed { reply } => {
                let _gone = reply.send(allocator.suppressed());
            }
        }
    }

    /// Nothing is said before what it rests on is durable.
    async fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let keys: BTreeSet<&Key> = batch
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Save(key) => Some(key),
                Effect::Send { .. }
                | Effect::CloseStream(_)
                | Effect::Tell { .. }
                | Effect::CloseSession(_)
                | Effect::Report(_) => None,
            })
            .collect();
        let changes: Vec<Change> =
            keys.into_iter().map(|key| stored::change(&self.ledger, key)).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.timings.storing(changes.len());
        for part in karman_store::parts(changes) {
            loop {
                match self.store.commit(&self.leadership.fence, part.clone()).await {
                    Ok(_revision) => break,
                    Err(karman_store::Error::Unavailable { reason }) => {
                        warn!(reason, "the store is not available; trying again");
                        tokio::time::sleep(COMMIT_RETRY).await;
                    }
                    Err(
                        error @ (karman_store::Error::Fenced { .. }
                        | karman_store::Error::Refused { .. }),
                    ) => {
                        return Err(Error::Store(error));
                    }
                }
            }
        }
        self.timings.storing(0);
        self.timings.committed(begun.elapsed());
        Ok(())
    }

    /// Says everything but the answers to operators, which are given back.
    fn release(&mut self, batch: Batch) -> Vec<Reply<Result<(), Refusal>>> {
        let Batch { effects, gates, updates, commands } = batch;
        // A receiver that is gone has hung up.
        for (reply, gate) in gates {
            let _gone = reply.send(gate);
        }
        for (reply, result) in updates {
            let _gone = reply.send(result);
        }
        self.followups.extend(self.outlets.release(effects));
        commands
    }
}

/// Everything that is decided and not yet said.
#[derive(Debug, Default)]
struct Batch {
    effects: Vec<Effect>,
    gates: Vec<(oneshot::Sender<CallGate>, CallGate)>,
    updates: Vec<Reply<Result<CallGate, validate::framework::Error>>>,
    commands: Vec<Reply<Result<(), Refusal>>>,
}

type Reply<T> = (oneshot::Sender<T>, T);
