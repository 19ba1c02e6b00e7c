//! Every asynchronous task of a process is spawned here, with a name and a
//! policy, and ends before the process does.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// A group of tasks that are asked to stop together.
///
/// Cheap to clone. A task that must finish something before it stops watches
/// [`Tasks::cancelled`]; all others are dropped at their next await.
#[derive(Clone)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    failure: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("running", &self.tracker.len()).finish_non_exhaustive()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    pub fn new() -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            failure: Arc::new(Mutex::new(None)),
        }
    }

    /// Runs `task` until it ends or the group stops, whichever is first.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        // Each wrapper would take room for it twice.
        let task = Box::pin(task);
        self.tracker.spawn(async move {
            if token.run_until_cancelled(task).await.is_none() {
                tracing::debug!(task = name, "task stopped");
            }
        });
    }

    /// Runs `task` to its end. It watches [`Tasks::cancelled`] itself, because
    /// it has something to finish.
    pub fn spawn_graceful<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let _name = name;
        self.tracker.spawn(task);
    }

    /// Runs a task that the process cannot live without: its error stops the
    /// group and is what [`Tasks::shutdown`] reports.
    pub fn spawn_critical<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            if let Some(Err(failure)) = tasks.token.run_until_cancelled(task).await {
                tasks.fail(name, &crate::chain(&failure));
            }
        });
    }

    /// Stops the group because of a failure that nobody can handle.
    pub fn fail(&self, name: &'static str, reason: &str) {
        error!(task = name, error = reason, "stopping");
        let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.get_or_insert_with(|| format!("{name}: {reason}"));
        self.token.cancel();
    }

    /// Resolves once the group was asked to stop.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks every task to stop and waits up to `grace` for them.
    ///
    /// # Errors
    /// The failure that stopped the group, if one did.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), Failed> {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            warn!(running = self.tracker.len(), "tasks did not stop in time and are abandoned");
        } else {
            info!("all tasks stopped");
        }
        let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.take().map_or(Ok(()), |reason| Err(Failed { reason }))
    }
}

/// A critical task failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failed {
    pub reason: String,
}

#[cfg(test)]
mod tests;
