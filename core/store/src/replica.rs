//! What is under a prefix, kept in memory while somebody else writes it: a
//! follower that takes over does not have to load it first.
//!
//! Task: one, loading and watching for as long as the replica lives. Whatever
//! stops a watch makes it load again; a store that is away leaves what is known.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use karman_rt::Tasks;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use crate::{Change, Entry, Error, Fence, Loaded, Revision, Store, WatchEvent};

/// Between two tries to load from a store that is not available.
const RETRY: Duration = Duration::from_millis(200);
/// A watch that is further behind than this is not worth waiting for: loading
/// is faster.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// The key below the prefix that a new leader writes to find out whether it has
/// seen everything of its predecessors.
const MARK: &str = "leader";

/// A prefix in memory.
#[derive(Debug)]
pub struct Replica {
    store: Arc<dyn Store>,
    prefix: String,
    contents: Arc<Contents>,
    revision: watch::Receiver<Revision>,
    _stop: DropGuard,
}

#[derive(Debug, Default)]
struct Contents(RwLock<BTreeMap<String, Entry>>);

impl Contents {
    fn replace(&self, entries: Vec<Entry>) {
        let entries = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    fn apply(&self, revision: Revision, changes: Vec<Change>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    entries.insert(key.clone(), Entry { key, value, revision });
                }
                Change::Delete { key } => {
                    entries.remove(&key);
                }
            }
        }
    }
}

impl Replica {
    /// Starts to follow everything under `prefix`, which ends with a slash.
    pub fn follow(store: Arc<dyn Store>, prefix: &str, tasks: &Tasks) -> Self {
        let stop = CancellationToken::new();
        let contents = Arc::<Contents>::default();
        let (revision, reached) = watch::channel(0);
        let follower = Follower {
            store: Arc::clone(&store),
            prefix: prefix.to_owned(),
            contents: Arc::clone(&contents),
            revision,
        };
        let stopped = stop.clone();
        tasks.spawn("replica", async move {
            stopped.run_until_cancelled(follower.run()).await;
        });
        let prefix = prefix.to_owned();
        Self { store, prefix, contents, revision: reached, _stop: stop.drop_guard() }
    }

    /// Everything that is known, sorted by key.
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.contents.0.read().unwrap_or_else(PoisonError::into_inner);
        let mark = format!("{}{MARK}", self.prefix);
        entries.values().filter(|entry| entry.key != mark).cloned().collect()
    }

    /// Changes with every change; 0 until the first load.
    pub fn revision(&self) -> watch::Receiver<Revision> {
        self.revision.clone()
    }

    /// Everything that was written under former leaderships: to be called once
    /// `fence` is held. The watch has seen all of it when it shows what is
    /// written here; where it does not, everything is loaded.
    ///
    /// # Errors
    /// As those of [`Store::commit`] and [`Store::load`].
    pub async fn caught_up(&self, fence: &Fence) -> Result<Vec<Entry>, Error> {
        let mark = Change::Put {
            key: format!("{}{MARK}", self.prefix),
            value: Bytes::from(fence.token.to_string()),
        };
        let revision = self.store.commit(fence, vec![mark]).await?;
        let mut reached = self.revision.clone();
        let seen = tokio::time::timeout(CATCH_UP_MAX, reached.wait_for(|at| *at >= revision));
        if matches!(seen.await, Ok(Ok(_))) {
            return Ok(self.entries());
        }
        debug!(prefix = self.prefix, "the watch is far behind; loading");
        let Loaded { entries, revision } = self.store.load(&self.prefix).await?;
        debug!(revision, entries = entries.len(), "loaded");
        let mark = format!("{}{MARK}", self.prefix);
        Ok(entries.into_iter().filter(|entry| entry.key != mark).collect())
    }
}

struct Follower {
    store: Arc<dyn Store>,
    prefix: String,
    contents: Arc<Contents>,
    revision: watch::Sender<Revision>,
}

impl Follower {
    async fn run(self) {
        loop {
            let revision = self.load().await;
            self.revision.send_replace(revision);
            let mut events = self.store.watch(&self.prefix, revision);
            while let Some(event) = events.recv().await {
                match event {
                    WatchEvent::Changes { revision, changes } => {
                        self.contents.apply(revision, changes);
                        self.revision.send_replace(revision);
                    }
                    WatchEvent::Relist => break,
                }
            }
        }
    }

    async fn load(&self) -> Revision {
        let mut warned = false;
        loop {
            match self.store.load(&self.prefix).await {
                Ok(Loaded { entries, revision }) => {
                    self.contents.replace(entries);
                    return revision;
                }
                Err(error) if !warned => {
                    warned = true;
                    let error = karman_rt::chain(&error);
                    warn!(prefix = self.prefix, error, "cannot follow the store; trying on");
                }
                Err(error) => debug!(error = karman_rt::chain(&error), "cannot follow the store"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests;
