//! Processes of this machine, told apart from later ones with the same number.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process: its number and when it started, in clock ticks since boot.
/// Numbers are used again; the pair is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    pub started: u64,
}

impl Identity {
    /// Of the process that has the number now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let started =
            start_time(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { pid, started })
    }

    /// Whether that very process exists (as a zombie too).
    pub fn exists(self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == self)
    }
}

/// The 22nd field; the second, the name, may itself hold spaces and brackets.
fn start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

pub fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// Every process below `root`, without itself.
pub fn descendants(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(list.split_ascii_whitespace().filter_map(|number| number.parse::<u32>().ok()));
    }
    found
}

/// Sends a signal; that the process is gone already is no error.
pub fn signal(number: u32, signal: Signal) {
    if let Some(pid) = pid(number) {
        let _gone = kill_process(pid, signal);
    }
}

/// Sends a signal to a process group; that it is gone already is no error.
pub fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = pid(leader) {
        let _gone = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(start_time("nonsense"), None);
    }

    #[test]
    fn this_process_is_itself() {
        let me = Identity::of(std::process::id()).unwrap();
        assert!(me.exists());
        assert!(!Identity { started: me.started + 1, ..me }.exists());
    }
}
