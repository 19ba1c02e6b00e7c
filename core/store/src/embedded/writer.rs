//! The thread that writes.
//!
//! In: requests from a bounded queue. Out: one answer for each, after the disk
//! has what it promises. A batch is one transaction of the engine; requests in
//! it succeed or are fenced one by one, and only a failure of the disk is
//! shared by all.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::database::{self, FENCES, META, OBJECTS, Open, REVISION, Shared, State};
use crate::codec::{self, Object};
use crate::history::Committed;
use crate::limits::Checked;
use crate::{Change, Error, Fence, Revision};

/// The most requests and bytes that share one synchronisation of the disk: more
/// would make the first of them wait longer than they save.
const BATCH_REQUESTS_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Commit {
        fence: Fence,
        changes: Checked,
        reply: Reply<Revision>,
    },
    Campaign {
        name: String,
        reply: Reply<u64>,
    },
    /// Open the file again if a failure closed it.
    Reopen {
        reply: Reply<()>,
    },
}

/// An answer that waits for the disk.
enum Answer {
    Committed { committed: Committed, reply: Reply<Revision> },
    Fenced { name: String, reply: Reply<Revision> },
    Leads { token: u64, reply: Reply<u64> },
    Open { reply: Reply<()> },
}

pub(super) struct Writer {
    pub(super) opener: Box<dyn Open>,
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
}

impl Writer {
    /// Serves requests until every sender is gone, then closes the file.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(first) = queue.blocking_recv() {
            let batch = collect(first, &mut queue);
            self.serve(batch);
        }
        self.shared.close();
    }

    fn serve(&mut self, batch: Vec<Request>) {
        if self.shared.is_closed()
            && let Err(failure) = self.reopen()
        {
            refuse(batch, &failure);
            return;
        }
        let mut next = self.state.clone();
        let answers = self.decide(&mut next, batch);
        match self.persist(&next, &answers) {
            Ok(()) => {
                self.state = next;
                self.release(answers);
            }
            Err(error) => self.fail(answers, &error),
        }
    }

    /// Decides every request of the batch in order, each on the outcome of
    /// those before it.
    fn decide(&self, next: &mut State, batch: Vec<Request>) -> Vec<Answer> {
        let decide = |request| match request {
            Request::Commit { fence: Fence { name, token }, reply, .. }
                if next.fences.get(&name) != Some(&token) =>
            {
                Answer::Fenced { name, reply }
            }
            Request::Commit { changes: Checked { changes, bytes }, reply, .. } => {
                next.revision += 1;
                Answer::Committed {
                    committed: Committed { revision: next.revision, changes, bytes },
                    reply,
                }
            }
            Request::Campaign { name, reply } => {
                let token = next.fences.entry(name).or_default();
                *token += 1;
                Answer::Leads { token: *token, reply }
            }
            Request::Reopen { reply } => Answer::Open { reply },
        };
        batch.into_iter().map(decide).collect()
    }

    /// Writes what the answers promise as one transaction.
    fn persist(&self, next: &State, answers: &[Answer]) -> Result<(), redb::Error> {
        if next.revision == self.state.revision && next.fences == self.state.fences {
            return Ok(());
        }
        let transaction = self.shared.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for answer in answers {
                let Answer::Committed {
                    committed: Committed { revision, changes, bytes: _ },
                    reply: _,
                } = answer
                else {
                    continue;
                };
                for change in changes {
                    match change {
                        Change::Put { key, value } => {
                            let stored = codec::encode(Object { revision: *revision, value });
                            objects.insert(key.as_str(), stored.as_slice())?;
                        }
                        Change::Delete { key } => {
                            objects.remove(key.as_str())?;
                        }
                    }
                }
            }
            let mut fences = transaction.open_table(FENCES)?;
            for (name, token) in &next.fences {
                if self.state.fences.get(name) != Some(token) {
                    fences.insert(name.as_str(), token)?;
                }
            }
            transaction.open_table(META)?.insert(REVISION, next.revision)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Publishes and answers; those who asked may have left.
    fn release(&self, answers: Vec<Answer>) {
        for answer in answers {
            let _gone = match answer {
                Answer::Committed { committed, reply } => {
                    let revision = committed.revision;
                    self.shared.history().publish(committed);
                    reply.send(Ok(revision)).is_err()
                }
                Answer::Fenced { name, reply } => reply.send(Err(Error::Fenced { name })).is_err(),
                Answer::Leads { token, reply } => reply.send(Ok(token)).is_err(),
                Answer::Open { reply } => reply.send(Ok(())).is_err(),
            };
        }
    }

    /// The disk failed: nothing is acknowledged, and the file is opened again,
    /// now if that works, otherwise for the next request.
    fn fail(&mut self, answers: Vec<Answer>, error: &redb::Error) {
        warn!(error = karman_rt::chain(error), "a write to the store failed");
        for answer in answers {
            let error = database::unavailable(error);
            let _gone = match answer {
                Answer::Committed { reply, .. } | Answer::Fenced { reply, .. } => {
                    reply.send(Err(error)).is_err()
                }
                Answer::Leads { reply, .. } => reply.send(Err(error)).is_err(),
                Answer::Open { reply } => reply.send(Err(error)).is_err(),
            };
        }
        self.shared.close();
        if let Err(failure) = self.reopen() {
            warn!(
                error = karman_rt::chain(&failure),
                "the store stays closed until the next request"
            );
        }
    }

    fn reopen(&mut self) -> Result<(), database::Failure> {
        let state = self.shared.reopen(self.opener.as_ref())?;
        if state.revision != self.state.revision {
            // The failed transaction reached the disk after all, and nobody saw it.
            self.shared.history().reset(state.revision);
        }
        info!(revision = state.revision, "the store is open again");
        self.state = state;
        Ok(())
    }
}

/// Takes what waits besides `first`, without waiting for more.
fn collect(first: Request, queue: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH_REQUESTS_MAX
        && bytes < BATCH_BYTES_MAX
        && let Ok(request) = queue.try_recv()
    {
        bytes += request.bytes();
        batch.push(request);
    }
    batch
}

fn refuse(batch: Vec<Request>, failure: &database::Failure) {
    for request in batch {
        let error = match failure {
            database::Failure::Engine(error) => database::unavailable(error),
            other => Error::Unavailable { reason: other.to_string() },
        };
        let _gone = match request {
            Request::Commit { reply, .. } => reply.send(Err(error)).is_err(),
            Request::Campaign { reply, .. } => reply.send(Err(error)).is_err(),
            Request::Reopen { reply } => reply.send(Err(error)).is_err(),
        };
    }
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Commit { changes, .. } => changes.bytes,
            Self::Campaign { .. } | Self::Reopen { .. } => 0,
        }
    }
}
