//! The newest commits in memory and those who watch them.
//!
//! A watch that starts at a revision still in the ring is replayed from it and
//! then follows; one that starts earlier, or that does not read fast enough, is
//! told to list again. Nobody ever waits for a watcher.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{Change, Revision, Watch, WatchEvent};

/// Commits kept for watches that start late.
const COMMITS_MAX: usize = 4096;
/// Bytes of keys and values kept for the same purpose.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events that may wait for one watcher before it must list again.
pub(crate) const WATCH_EVENTS_MAX: usize = 1024;

/// One durable commit.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) revision: Revision,
    pub(crate) changes: Vec<Change>,
    pub(crate) bytes: usize,
}

/// The ring and the watchers.
#[derive(Debug)]
pub(crate) struct History {
    ring: VecDeque<Arc<Committed>>,
    bytes: usize,
    /// Commits up to this one are not in the ring.
    compacted: Revision,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    prefix: String,
    after: Revision,
    events: mpsc::Sender<WatchEvent>,
}

impl History {
    pub(crate) fn new(revision: Revision) -> Self {
        Self { ring: VecDeque::new(), bytes: 0, compacted: revision, watchers: Vec::new() }
    }

    /// Remembers a commit and tells those who watch its keys.
    pub(crate) fn publish(&mut self, committed: Committed) {
        let committed = Arc::new(committed);
        self.watchers.retain(|watcher| watcher.offer(&committed));
        self.bytes += committed.bytes;
        self.ring.push_back(committed);
        while self.ring.len() > COMMITS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.compacted = oldest.revision;
        }
    }

    /// Forgets everything up to `revision`, because commits happened that
    /// nobody saw; every watcher lists again.
    pub(crate) fn reset(&mut self, revision: Revision) {
        for watcher in self.watchers.drain(..) {
            watcher.relist();
        }
        *self = Self::new(revision);
    }

    pub(crate) fn watch(&mut self, prefix: &str, after: Revision) -> Watch {
        // One place is kept free, so that a full queue can still end in `Relist`.
        let (events, watch) = mpsc::channel(WATCH_EVENTS_MAX + 1);
        let watcher = Watcher { prefix: prefix.to_owned(), after, events };
        if after < self.compacted {
            watcher.relist();
        } else if self.ring.iter().all(|committed| watcher.offer(committed)) {
            self.watchers.push(watcher);
        }
        watch
    }
}

impl Watcher {
    /// Queues the changes that concern this watcher; false when it is done.
    fn offer(&self, committed: &Committed) -> bool {
        if committed.revision <= self.after {
            return true;
        }
        let concerned =
            committed.changes.iter().filter(|change| change.key().starts_with(&self.prefix));
        let changes: Vec<Change> = concerned.cloned().collect();
        if changes.is_empty() {
            return !self.events.is_closed();
        }
        if self.events.capacity() <= 1 {
            self.relist();
            return false;
        }
        self.events.try_send(WatchEvent::Changes { revision: committed.revision, changes }).is_ok()
    }

    fn relist(&self) {
        // Fails only where the watcher has gone, and then nobody needs it.
        let _gone = self.events.try_send(WatchEvent::Relist);
    }
}

#[cfg(test)]
mod tests;
