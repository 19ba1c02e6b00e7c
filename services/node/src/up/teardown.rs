//! Ends every process that runs on a temporary data folder, so that nothing is
//! left behind: shims by their run directory, tasks by their descent from a
//! shim or by a working folder in a sandbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracing::warn;

/// How long tasks may take after SIGTERM; nobody will see what they leave.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long the kernel may take to end killed processes.
const KILL_GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shim,
    Task,
}

/// One process, as `/proc` shows it.
#[derive(Clone, Debug, Default)]
struct Process {
    parent: i32,
    is_shim: bool,
    works_inside: bool,
}

/// Ends the tasks of `folder`, asking first. Their shims then end by themselves
/// and clean up what they made; only one that does not is killed.
pub(super) async fn processes(folder: &Path) {
    signal_all(&left(folder), Signal::SIGTERM, Kind::Task);
    let tasks_left = || left(folder).values().any(|kind| *kind == Kind::Task);
    wait_until(TERM_GRACE, || !tasks_left()).await;
    // A task may fork while it is killed: look again until nothing is left.
    wait_until(KILL_GRACE, || {
        let left = left(folder);
        signal_all(&left, Signal::SIGKILL, Kind::Task);
        left.is_empty()
    })
    .await;
    let killed = wait_until(KILL_GRACE, || {
        let left = left(folder);
        signal_all(&left, Signal::SIGKILL, Kind::Task);
        signal_all(&left, Signal::SIGKILL, Kind::Shim);
        left.is_empty()
    });
    if !killed.await {
        warn!(processes = left(folder).len(), "some tasks could not be killed");
    }
}

async fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let waited = async {
        while !done() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(limit, waited).await.is_ok()
}

fn signal_all(processes: &BTreeMap<i32, Kind>, signal: Signal, of: Kind) {
    for (pid, _) in processes.iter().filter(|(_, kind)| **kind == of) {
        // One that is gone already is what is wanted.
        let _gone = kill(Pid::from_raw(*pid), signal);
    }
}

fn left(folder: &Path) -> BTreeMap<i32, Kind> {
    select(&snapshot(folder))
}

/// The shims and tasks among all processes.
fn select(all: &BTreeMap<i32, Process>) -> BTreeMap<i32, Kind> {
    let descends = |pid: i32| {
        let mut parent = all.get(&pid).map_or(0, |process| process.parent);
        // Bounded, because the snapshot is not taken at one moment.
        for _ in 0..all.len() {
            let Some(process) = all.get(&parent) else { return false };
            if process.is_shim {
                return true;
            }
            parent = process.parent;
        }
        false
    };
    let kind = |pid: i32, process: &Process| {
        if process.is_shim {
            Some(Kind::Shim)
        } else {
            (process.works_inside || descends(pid)).then_some(Kind::Task)
        }
    };
    all.iter().filter_map(|(pid, process)| kind(*pid, process).map(|kind| (*pid, kind))).collect()
}

fn snapshot(folder: &Path) -> BTreeMap<i32, Process> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| Some((pid, read(pid, folder)?))).collect()
}

/// `None` for a process that is gone, or has ended and is only to be collected.
fn read(pid: i32, folder: &Path) -> Option<Process> {
    let proc = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    // The name before it may contain anything, also parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let cmdline = std::fs::read(proc.join("cmdline")).unwrap_or_default();
    let mut args =
        cmdline.split(|byte| *byte == 0).skip(1).filter_map(|arg| std::str::from_utf8(arg).ok());
    let is_shim = args.next() == Some("shim")
        && args.next().is_some_and(|dir| Path::new(dir).starts_with(folder));
    let works_inside =
        std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    Some(Process { parent, is_shim, works_inside })
}

#[cfg(test)]
mod tests;
