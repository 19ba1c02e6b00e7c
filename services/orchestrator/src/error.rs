//! Why the orchestrator does not start.

/// Why the orchestrator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the store")]
    Store(#[from] karman_store::Error),
    #[error("the stored record '{key}' cannot be read; restore it from a backup or delete it")]
    Record {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot set up HTTP")]
    Http(#[from] reqwest::Error),
    #[error("stopped before the master accepted the subscription")]
    Stopped,
}
