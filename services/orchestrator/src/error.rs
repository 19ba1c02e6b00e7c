//! Why the orchestrator does not start.

use crate::machine::RestoreError;

/// Why the orchestrator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the store")]
    Store(#[from] karman_store::Error),
    #[error("cannot restore the orchestrator's state")]
    Restore(#[from] RestoreError),
    #[error("cannot set up HTTP")]
    Http(#[from] reqwest::Error),
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
    #[error("stopped before the master accepted the subscription")]
    Stopped,
}
