//! The last snapshot on disk. It is a cache: whatever is wrong with it, names
//! come from the master.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use karman_api::karman::discovery::{Message, Snapshot};
use karman_rt::Tasks;
use tracing::{info, warn};

use crate::CurrentReceiver;

/// The least time between two writes; a cluster may change many times a second.
const PAUSE: Duration = Duration::from_secs(1);

/// What was remembered, if anything.
pub(crate) async fn read(path: &Path) -> Option<Snapshot> {
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(path = %path.display(), error = karman_rt::chain(&error), "the last snapshot cannot be read");
            return None;
        }
    };
    match serde_json::from_slice::<Message>(&bytes) {
        Ok(message) => {
            info!(generation = message.generation, "serving names from the last snapshot");
            Some(Snapshot::new(message))
        }
        Err(error) => {
            warn!(path = %path.display(), error = karman_rt::chain(&error), "the last snapshot is damaged");
            None
        }
    }
}

/// Keeps the file up to date.
pub(crate) fn spawn(path: PathBuf, mut current: CurrentReceiver, tasks: &Tasks) {
    // What is there already came from the disk.
    current.mark_unchanged();
    tasks.spawn("dns-disk", async move {
        while current.changed().await.is_ok() {
            let newest = current.borrow_and_update().clone();
            if let Some(newest) = newest
                && let Err(error) = write(&path, &newest.snapshot).await
            {
                warn!(path = %path.display(), error = karman_rt::chain(&error), "the snapshot was not saved");
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Replaces the file as a whole, so that a reader never sees half of it.
async fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let bytes = serde_json::to_vec(&snapshot.to_message())?;
    let new = path.with_extension("new");
    tokio::fs::write(&new, bytes).await?;
    tokio::fs::rename(&new, path).await
}
