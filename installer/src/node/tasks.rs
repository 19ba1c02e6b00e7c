//! Ending what an agent leaves running: its shims, their tasks, their mounts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::machine::run;
use crate::layout::{INSTALL, STATE};

/// How long the kernel may take to end killed processes.
const END_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);
/// `karman/<agent>/<container>` and what a task makes below it.
const GROUP_DEPTH_MAX: usize = 8;

/// Kills every process of ours that is no service, and removes their groups.
pub(super) fn end() -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        // A task may fork while it is killed: look again until nothing is left.
        let left = processes();
        if left.is_empty() {
            break;
        }
        for process in &left {
            if let Some(pid) = rustix::process::Pid::from_raw(*process) {
                // It may have ended by itself.
                let _ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        if begin.elapsed() > END_LIMIT {
            bail!("{} processes of tasks do not end: {left:?}", left.len());
        }
        std::thread::sleep(POLL);
    }
    for folder in groups() {
        remove_groups(&folder, GROUP_DEPTH_MAX);
    }
    Ok(())
}

fn processes() -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut left: BTreeSet<i32> = pids.filter(|pid| is_ours(*pid)).collect();
    for groups in groups() {
        members(&groups, GROUP_DEPTH_MAX, &mut left);
    }
    // A process of another namespace shows as 0.
    left.into_iter().filter(|pid| *pid > 1 && *pid != own).collect()
}

/// Shims run our program, tasks without groups work in a sandbox.
fn is_ours(pid: i32) -> bool {
    let below = |link: &str, folder: &str| {
        fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path.starts_with(folder))
    };
    below("exe", &format!("{INSTALL}/releases")) || below("cwd", STATE)
}

/// The folder of agents in each hierarchy of control groups.
fn groups() -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let mut groups: Vec<PathBuf> =
        hierarchies.map(|hierarchy| hierarchy.path().join("karman")).collect();
    groups.push(PathBuf::from("/sys/fs/cgroup/karman"));
    groups
}

fn members(folder: &Path, depth: usize, into: &mut BTreeSet<i32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    into.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            members(&entry.path(), depth - 1, into);
        }
    }
}

fn remove_groups(folder: &Path, depth: usize) {
    if depth == 0 || !folder.is_dir() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path(), depth - 1);
        }
    }
    // A group that is still used shows itself in the next start of an agent.
    let _busy = fs::remove_dir(folder);
}

/// Unmounts everything below a folder, the last mounted first.
pub(super) fn unmount_below(folder: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let below = points.filter(|point| Path::new(point).starts_with(folder));
    let below: Vec<&str> = below.collect();
    for point in below.iter().rev() {
        run(Command::new("umount").args(["--lazy", point]))?;
    }
    Ok(())
}
