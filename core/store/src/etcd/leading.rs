//! Candidates: a task for each, around the machine that decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::client::Client;
use super::machines::Now;
use super::machines::call::Outcome;
use super::machines::candidate::{CallId, Candidate, CommitId, Effect, Event, Failure};
use super::{Writer, Writers};
use crate::limits::Checked;
use crate::{Error, Fence, Leadership, Revision};

/// Commits that the machine may hold; more wait outside.
const BACKLOG_MAX: usize = 1024;
/// Commits between the callers and the machine.
pub(super) const QUEUE_MAX: usize = 256;

/// A commit on its way to the machine.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) changes: Checked,
    pub(super) reply: oneshot::Sender<Result<Revision, Error>>,
}

/// The shell around one candidate.
pub(super) struct Campaign {
    pub(super) client: Arc<Client>,
    pub(super) writers: Arc<Writers>,
    pub(super) name: String,
    pub(super) machine: Candidate,
    /// The token of the one who claims to lead, as a watch sees it.
    pub(super) claim: watch::Receiver<Option<u64>>,
    pub(super) owner: Owner,
}

/// The one who wanted to lead.
pub(super) enum Owner {
    Waits(oneshot::Sender<Leadership>),
    Leads(watch::Sender<bool>),
    Gone,
}

struct Running {
    calls: FuturesUnordered<BoxFuture<'static, (CallId, Outcome)>>,
    replies: BTreeMap<CommitId, oneshot::Sender<Result<Revision, Error>>>,
    commits: CommitId,
    sender: mpsc::Sender<Request>,
    ended: bool,
}

impl Campaign {
    /// Until the leadership ends.
    pub(super) async fn run(mut self) {
        let (sender, mut requests) = mpsc::channel(QUEUE_MAX);
        let mut running = Running {
            calls: FuturesUnordered::new(),
            replies: BTreeMap::new(),
            commits: 0,
            sender,
            ended: false,
        };
        let mut era = self.client.era();
        let mut event = Event::Start;
        loop {
            let effects = self.machine.apply(self.now(), event);
            for effect in effects {
                self.run_effect(&mut running, effect);
            }
            if running.ended {
                return;
            }
            let wake = self.machine.wake();
            let pause = wake.map(|wake| wake.saturating_sub(self.client.uptime()));
            event = tokio::select! {
                Some((call, outcome)) = running.calls.next() => Event::Outcome { call, outcome },
                Some(Request { changes, reply }) = requests.recv(),
                    if self.machine.backlog() < BACKLOG_MAX => running.commit(changes, reply),
                () = self.owner.gone() => {
                    self.owner = Owner::Gone;
                    Event::Resign
                }
                Ok(()) = self.claim.changed() => {
                    Event::ClaimSeen(*self.claim.borrow_and_update())
                }
                Ok(()) = era.changed() => Event::Doubt,
                () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => Event::Tick,
            };
        }
    }

    fn run_effect(&mut self, running: &mut Running, effect: Effect) {
        match effect {
            Effect::Call { id, call } => {
                let client = Arc::clone(&self.client);
                running.calls.push(async move { (id, client.call(call).await) }.boxed());
            }
            Effect::Leads { token } => self.leads(running, token),
            Effect::Lost => {
                warn!(name = self.name, "leadership was lost");
                if let Owner::Leads(lost) = &self.owner {
                    lost.send_replace(true);
                }
            }
            Effect::Done { id, result } => {
                let result = match result {
                    Ok(revision) => Ok(self.client.revision(revision)),
                    Err(Failure::Fenced) => Err(Error::Fenced { name: self.name.clone() }),
                    Err(Failure::Unavailable(reason)) => Err(Error::Unavailable { reason }),
                    Err(Failure::TooLarge(reason)) => Err(Error::Refused { reason }),
                };
                if let Some(reply) = running.replies.remove(&id) {
                    // Who asked may have left.
                    let _gone = reply.send(result);
                }
            }
            Effect::Note(note) => warn!(name = self.name, note, "cannot lead yet"),
            Effect::Ended => running.ended = true,
        }
    }

    fn leads(&mut self, running: &Running, token: u64) {
        info!(name = self.name, token, "leading");
        let Owner::Waits(waits) = std::mem::replace(&mut self.owner, Owner::Gone) else { return };
        let (lost, receiver) = watch::channel(false);
        self.writers.insert(&self.name, Writer { token, requests: running.sender.clone() });
        let fence = Fence { name: self.name.clone(), token };
        // Where nobody waits any more its receiver is gone, which is noticed.
        let _abandoned = waits.send(Leadership { fence, lost: receiver });
        self.owner = Owner::Leads(lost);
    }

    fn now(&self) -> Now {
        Now { uptime: self.client.uptime(), wall_ms: karman_rt::time::now_ms() }
    }
}

impl Owner {
    /// Resolves once the owner needs the leadership no more.
    async fn gone(&mut self) {
        match self {
            Self::Waits(waits) => waits.closed().await,
            Self::Leads(lost) => lost.closed().await,
            Self::Gone => std::future::pending().await,
        }
    }
}

impl Running {
    fn commit(
        &mut self,
        changes: Checked,
        reply: oneshot::Sender<Result<Revision, Error>>,
    ) -> Event {
        self.commits += 1;
        self.replies.insert(self.commits, reply);
        Event::Commit { id: self.commits, changes }
    }
}
