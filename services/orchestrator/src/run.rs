//! The loop around the machine: wait, apply, store, send, publish, answer.
//!
//! Everything that waits is taken in at once and stored in one transaction, so
//! that the disk is synchronised once for many events.

use std::sync::Arc;
use std::time::Duration;

use karman_api::mesos::v1::scheduler::event;
use karman_model::time::Timestamp;
use karman_store::{Change, Leadership, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::warn;

use crate::board::Board;
use crate::hub::Hub;
use crate::link::{Link, Report};
use crate::machine::{Command, Core, Refusal, Reply};

/// Commands that may wait for the loop.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Inputs that are applied before their changes are stored.
const BATCH_MAX: usize = 256;
/// A store that is not available is asked again this often.
const STORE_RETRY: Duration = Duration::from_millis(200);
/// How long the loop sleeps where no timer is set.
const IDLE: Duration = Duration::from_secs(3600);

/// A command and where its answer goes.
pub(crate) type Request = (Command, oneshot::Sender<Result<Reply, Refusal>>);

/// The loop cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopError {
    #[error("cannot store what was decided")]
    Store(#[from] karman_store::Error),
    #[error("leadership of the orchestrator was lost")]
    Deposed,
}

/// The loop's parts.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) core: Core,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) leadership: Leadership,
    pub(crate) link: Link,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) board: Board,
    pub(crate) hub: Hub,
    /// Becomes true with the first subscription.
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) subscription: u64,
}

/// What woke the loop.
enum Input {
    Request(Request),
    Report(Report),
    Tick,
    Deposed,
    Closed,
}

type Answer = (oneshot::Sender<Result<Reply, Refusal>>, Result<Reply, Refusal>);

impl Loop {
    /// # Errors
    /// When decisions can no longer be stored.
    pub(crate) async fn run(mut self) -> Result<(), LoopError> {
        self.release(Vec::new()).await?;
        loop {
            let mut next = Some(self.select().await);
            let mut answers = Vec::new();
            for _ in 0..BATCH_MAX {
                match next {
                    Some(Input::Deposed) => return Err(LoopError::Deposed),
                    Some(Input::Closed) => return Ok(()),
                    Some(input) => answers.extend(self.apply(input)),
                    None => break,
                }
                next = self.waiting();
            }
            // The batch was full: its last input was taken but not applied yet.
            answers.extend(next.and_then(|input| self.apply(input)));
            self.release(answers).await?;
        }
    }

    async fn select(&mut self) -> Input {
        let now = Timestamp(karman_rt::time::now_ms());
        let sleep = self.core.next_wakeup().map_or(IDLE, |at| at.since(now).min(IDLE));
        tokio::select! {
            _ = self.leadership.lost.wait_for(|lost| *lost) => Input::Deposed,
            report = self.link.reports.recv() => report.map_or(Input::Closed, Input::Report),
            request = self.requests.recv() => request.map_or(Input::Closed, Input::Request),
            () = tokio::time::sleep(sleep) => Input::Tick,
        }
    }

    /// What is there without waiting.
    fn waiting(&mut self) -> Option<Input> {
        if let Ok(report) = self.link.reports.try_recv() {
            return Some(Input::Report(report));
        }
        self.requests.try_recv().ok().map(Input::Request)
    }

    fn apply(&mut self, input: Input) -> Option<Answer> {
        let now = Timestamp(karman_rt::time::now_ms());
        match input {
            Input::Request((command, answer)) => {
                return Some((answer, self.core.command(now, command)));
            }
            Input::Report(report) => self.report(now, report),
            Input::Tick => self.core.tick(now),
            Input::Deposed | Input::Closed => {}
        }
        None
    }

    fn report(&mut self, now: Timestamp, report: Report) {
        match report {
            Report::Subscribed { subscription, framework_id, master } => {
                self.subscription = subscription;
                self.board.set_master(Some(master.clone()));
                self.core.subscribed(now, &framework_id, &master);
            }
            Report::Disconnected => {
                self.board.set_master(None);
                self.core.disconnected();
            }
            Report::Removed => {
                warn!("the master has removed this framework; registering anew");
                self.core.forget_framework();
            }
            Report::Event { subscription, event } if subscription == self.subscription => {
                match event::Type::try_from(event.r#type.unwrap_or_default()) {
                    Ok(event::Type::Offers) => {
                        let offers = event.offers.map(|offers| offers.offers).unwrap_or_default();
                        self.core.offers(now, &offers);
                    }
                    Ok(event::Type::Update) => {
                        if let Some(update) = event.update {
                            self.core.update(now, &update.status);
                        }
                    }
                    // Offers are used or declined at once; there is nothing to
                    // rescind. Agents that fail are reported task by task.
                    _ => {}
                }
            }
            Report::Event { .. } => {}
        }
    }

    /// Releases the effects: nothing leaves before it is stored.
    async fn release(&mut self, answers: Vec<Answer>) -> Result<(), LoopError> {
        // Once for all updates that came together.
        self.core.settle(Timestamp(karman_rt::time::now_ms()));
        let mut effects = self.core.take_effects();
        self.commit(std::mem::take(&mut effects.changes)).await?;
        self.link.set_framework_id(self.core.framework_id());
        for call in std::mem::take(&mut effects.calls) {
            self.link.send(self.subscription, call).await;
        }
        self.board.update(&self.core, &effects);
        let now = karman_rt::time::now_ms();
        for event in effects.events {
            self.hub.publish(now, event);
        }
        if self.subscription > 0 {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
        for (to, answer) in answers {
            // A client that went away gets no answer; what it asked for is done.
            drop(to.send(answer));
        }
        Ok(())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), karman_store::Error> {
        for part in karman_store::parts(latest(changes)) {
            loop {
                match self.store.commit(&self.leadership.fence, part.clone()).await {
                    Ok(_) => break,
                    Err(error @ karman_store::Error::Unavailable { .. }) => {
                        warn!(error = karman_rt::chain(&error), "trying to store again");
                        tokio::time::sleep(STORE_RETRY).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Only the last change of each key matters, in the order of those.
fn latest(changes: Vec<Change>) -> Vec<Change> {
    let mut seen = std::collections::BTreeSet::new();
    let key = |change: &Change| match change {
        Change::Put { key, .. } | Change::Delete { key } => key.clone(),
    };
    let mut kept: Vec<Change> =
        changes.into_iter().rev().filter(|change| seen.insert(key(change))).collect();
    kept.reverse();
    kept
}
