//! Durable state: transactions, watches, leadership.
//!
//! Nobody but this crate knows which engine holds the state. Keys are paths
//! (`/orchestrator/apps/web`), values are opaque bytes, one versioned object per
//! key. A commit is atomic, durable before it returns, and refused when its
//! fence is no longer the newest of its name.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

pub mod codec;
#[cfg(test)]
mod conformance;
pub mod embedded;
pub mod etcd;
mod history;
mod limits;
mod replica;
mod vigil;

pub use limits::{
    CHANGES_MAX, COMMIT_BYTES_MAX, HOLDER_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, parts,
};
pub use replica::Replica;
pub use vigil::campaign;

/// Grows with every commit, never goes backwards; commits that were under way at
/// the same time may share one. For comparing within one process.
pub type Revision = u64;

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put { key: String, value: Bytes },
    Delete { key: String },
}

impl Change {
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A key with its value and the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Bytes,
    pub revision: Revision,
}

/// All entries under a prefix, sorted by key, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub entries: Vec<Entry>,
    pub revision: Revision,
}

/// Proof of leadership that every commit carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub name: String,
    pub token: u64,
}

/// Leadership of a name. It is held until it is lost, or until this value and
/// every clone of `lost` are dropped; then the next campaign succeeds, and a
/// commit under its fence may be refused.
#[derive(Debug)]
pub struct Leadership {
    pub fence: Fence,
    /// Becomes true when somebody else leads, or may; closes with the store.
    pub lost: watch::Receiver<bool>,
}

/// Who leads a name, as everybody can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// What the leader said about itself when it campaigned.
    pub holder: String,
    pub token: u64,
}

/// What a watch delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The changes of one commit under the prefix, at most one for each key.
    Changes { revision: Revision, changes: Vec<Change> },
    /// The watch fell behind or history was compacted. It is the last event of
    /// its watch: load again and watch from the revision of that load.
    Relist,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The commit was not applied: another leader has taken over.
    #[error("leadership of '{name}' was lost; the change was not stored")]
    Fenced { name: String },
    /// The change was not acknowledged and may be retried. Where the disk failed
    /// while it was synchronised, all of it may turn out to be stored.
    #[error("the store is not available: {reason}")]
    Unavailable { reason: String },
    /// The commit breaks a limit; it will never succeed as it is.
    #[error("the change is refused: {reason}")]
    Refused { reason: String },
}

/// Receives the changes under a prefix. It closes after [`WatchEvent::Relist`],
/// and without one when the store closes.
pub type Watch = tokio::sync::mpsc::Receiver<WatchEvent>;

/// The seam between Karman and its storage engines.
pub trait Store: Send + Sync + fmt::Debug {
    /// Everything under `prefix`, as of one revision.
    fn load<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Loaded, Error>>;

    /// Applies all changes or none; durable before it returns. Concurrent
    /// commits share one synchronisation of the disk. Of several changes of one
    /// key the last one counts. A commit without changes still proves that the
    /// fence is the newest.
    fn commit<'a>(
        &'a self,
        fence: &'a Fence,
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, Error>>;

    /// The changes under `prefix` after `revision`, in order.
    fn watch(&self, prefix: &str, revision: Revision) -> Watch;

    /// Waits until this process leads `name`. The token of the new leader is
    /// greater than every token of that name before it, also across restarts.
    /// `holder` is text that everybody can read while it leads. A campaigner
    /// with the text of the present leader is that one restarted: it does not
    /// wait, and its former self is fenced off.
    fn campaign<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
    ) -> BoxFuture<'a, Result<Leadership, Error>>;

    /// Who leads `name`, as far as this process knows; `None` while nobody does.
    /// It may be behind, so it is for redirecting, never for deciding.
    fn leader(&self, name: &str) -> watch::Receiver<Option<Leader>>;

    /// Says that the process that leads `name` as `leader` has ended, so that
    /// campaigns need not wait for its lease; they do where the store does not
    /// answer. Where another leads by now, nothing happens; where it has not ended
    /// after all, it leads on or is deposed.
    fn expire<'a>(&'a self, name: &'a str, leader: &'a Leader) -> BoxFuture<'a, ()>;
}
