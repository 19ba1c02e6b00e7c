//! Removes the sandboxes of tasks that ended long ago.
//!
//! Task: one. Inputs: the clock, the free space, the snapshot. It removes
//! nothing of a task that is not forgotten yet.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::driver::blocking;
use crate::machine;
use crate::settings::Settings;
use crate::view::Snapshot;

/// Sandboxes are kept for this long on an empty disk, and for less the fuller
/// it is.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// With this part of the disk in use nothing is kept for its age.
const USED_MAX: f64 = 0.9;

const PERIOD: Duration = Duration::from_secs(600);

pub(crate) async fn run(settings: Arc<Settings>, snapshots: watch::Receiver<Arc<Snapshot>>) {
    loop {
        sleep(PERIOD).await;
        let slaves = settings.work_dir.join("slaves");
        let kept = in_use(&snapshots.borrow());
        let age = machine::disk_used(&settings.work_dir).map_or(AGE_MAX, age_for);
        let now = SystemTime::now();
        match blocking(move || collect(&slaves, &kept, age, now)).await {
            Ok(0) => {}
            Ok(count) => info!(count, "old sandboxes removed"),
            Err(error) => warn!(error = error.to_string(), "cannot look through the sandboxes"),
        }
    }
}

/// The sandboxes of what is not forgotten.
fn in_use(snapshot: &Snapshot) -> BTreeSet<PathBuf> {
    let tasks = snapshot.containers.values().map(|view| view.record.root().1.to_owned());
    let executors = snapshot.executors.values().map(|view| view.record.sandbox.clone());
    tasks.chain(executors).collect()
}

/// Linear from the whole age on an empty disk to none at the limit.
fn age_for(used: f64) -> Duration {
    AGE_MAX.mul_f64(((USED_MAX - used) / USED_MAX).clamp(0.0, 1.0))
}

/// `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>`.
fn collect(
    slaves: &Path,
    kept: &BTreeSet<PathBuf>,
    age: Duration,
    now: SystemTime,
) -> io::Result<usize> {
    let mut removed = 0;
    for frameworks in folders(slaves)?.into_iter().map(|agent| agent.join("frameworks")) {
        for framework in folders(&frameworks)? {
            for executor in folders(&framework.join("executors"))? {
                for sandbox in folders(&executor.join("runs"))? {
                    if !kept.contains(&sandbox)
                        && is_older(&sandbox, age, now)
                        && fs::remove_dir_all(&sandbox).is_ok()
                    {
                        removed += 1;
                    }
                }
                prune(&executor);
            }
            // Fails, as wanted, unless both are empty.
            let _kept = fs::remove_dir(framework.join("executors"))
                .and_then(|()| fs::remove_dir(&framework));
        }
    }
    Ok(removed)
}

/// Removes an executor's folder that holds nothing but `latest`.
fn prune(executor: &Path) {
    let runs = executor.join("runs");
    if folders(&runs).is_ok_and(|left| left.is_empty()) {
        let _kept = fs::remove_file(runs.join("latest"));
        let _kept = fs::remove_dir(&runs).and_then(|()| fs::remove_dir(executor));
    }
}

fn is_older(path: &Path, age: Duration, now: SystemTime) -> bool {
    let modified = fs::metadata(path).and_then(|data| data.modified());
    modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|old| old >= age))
}

/// Real folders, no links.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let real = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(listed.flatten().filter(real).map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_disk_the_shorter_the_age() {
        assert_eq!(age_for(0.0), AGE_MAX);
        assert_eq!(age_for(0.45), AGE_MAX / 2);
        assert_eq!(age_for(0.95), Duration::ZERO);
    }

    #[test]
    fn only_old_and_unused_sandboxes_go() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox =
            |task: &str| folder.path().join(format!("A/frameworks/F/executors/{task}/runs/C"));
        for task in ["old", "used"] {
            fs::create_dir_all(sandbox(task)).unwrap();
            fs::write(sandbox(task).join("stdout"), "x").unwrap();
        }
        let kept = BTreeSet::from([sandbox("used")]);
        let now = SystemTime::now();
        assert_eq!(collect(folder.path(), &kept, Duration::from_secs(60), now).unwrap(), 0);
        let later = now + Duration::from_secs(120);
        assert_eq!(collect(folder.path(), &kept, Duration::from_secs(60), later).unwrap(), 1);
        assert!(sandbox("used").exists());
        assert!(!folder.path().join("A/frameworks/F/executors/old").exists());
        assert_eq!(
            collect(folder.path(), &BTreeSet::new(), Duration::from_secs(60), later).unwrap(),
            1
        );
        assert!(!folder.path().join("A/frameworks/F").exists());
    }
}
