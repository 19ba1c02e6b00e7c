//! The nodes themselves, with nothing of ours on them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::PAIR;
use crate::room::Room;

#[test]
fn nodes_that_are_gone_leave_nothing_behind() {
    let before = Traces::of_this_machine("test-traces");
    let Some(room) = Room::up("traces", PAIR) else { return };
    let folder = room.folder.clone();
    let during = Traces::of_this_machine("test-traces");
    assert!(!during.processes.is_empty() && !during.groups.is_empty(), "{during:?}");
    room.ssh("agent-1", "setsid -f sleep 1000 >/dev/null 2>&1 </dev/null").ok();
    room.kill("master-1");
    room.boot("master-1");
    drop(room);
    assert_eq!(Traces::of_this_machine("test-traces"), before);
    assert!(!folder.exists(), "{}", folder.display());
}

#[test]
fn what_was_interrupted_is_cleaned_up() {
    let Some(room) = Room::up("interrupted", PAIR) else { return };
    let state = room.folder.join("state.json");
    let text =
        fs::read_to_string(&state).unwrap().replace("\"complete\": true", "\"complete\": false");
    fs::write(&state, text).unwrap();
    let masters = ["up", "--masters", "1", "--agents", "1", "--public", "0"];
    room.datacenter(&masters).ok().says("interrupted");
    room.datacenter(&masters).ok().says("is up already");
    room.datacenter(&["up", "--agents", "3"]).failed().says("with other nodes");
    fs::write(&state, "{}").unwrap();
    room.datacenter(&["status"]).failed().says("damaged");
    room.datacenter(&["down"]).ok().says("is gone");
    room.datacenter(&["down"]).ok().says("there is no datacenter");
}

#[test]
fn a_node_loses_its_power_and_keeps_its_disk() {
    let Some(room) = Room::up("power", PAIR) else { return };
    room.ssh("agent-1", "echo kept > /root/note; sync").ok();
    room.kill("agent-1");
    assert_eq!(room.status()["nodes"][1]["state"], "off");
    room.ssh("agent-1", "true").failed();
    room.boot("agent-1");
    room.ssh("agent-1", "cat /root/note").ok().says("kept");
    room.ssh("agent-1", "ping -c 1 -W 5 10.77.0.11").ok();
}

#[test]
fn nodes_that_are_cut_off_do_not_hear_each_other() {
    let Some(room) = Room::up("cut", PAIR) else { return };
    room.datacenter(&["partition", "agent-1", "--from", "master-1"]).ok();
    room.ssh("agent-1", "ping -c 1 -W 1 10.77.0.11").failed();
    room.ssh("master-1", "ping -c 1 -W 1 10.77.0.21").failed();
    room.datacenter(&["heal", "master-1"]).ok();
    room.ssh("agent-1", "ping -c 1 -W 5 10.77.0.11").ok();
    room.datacenter(&["partition", "agent-1"]).ok();
    assert_eq!(room.status()["nodes"][1]["state"], "cut off");
    room.datacenter(&["partition", "agent-1", "--from", "agent-1"]).failed();
    room.datacenter(&["partition", "agent-9"]).failed().says("there is no node 'agent-9'");
    room.datacenter(&["heal"]).ok();
    room.ssh("agent-1", "true").ok();
}

/// Agents of different nodes would take each other's tasks for their own.
#[test]
fn nodes_see_control_groups_of_their_own() {
    let Some(room) = Room::up("groups", PAIR) else { return };
    let folder = "/sys/fs/cgroup/memory";
    room.ssh("agent-1", &format!("test -d {folder} || exit 0; mkdir {folder}/mine")).ok();
    room.ssh("master-1", &format!("test ! -d {folder}/mine")).ok();
    room.ssh(
        "agent-1",
        "for f in /proc/[0-9]*/cgroup; do cat $f; done | grep -F /.. && exit 1; true",
    )
    .ok();
}

/// What a datacenter could leave on this machine.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    groups: BTreeSet<String>,
    mounts: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Traces {
    /// Those that have the name of the datacenter: others run meanwhile.
    fn of_this_machine(name: &str) -> Self {
        let named = |text: String| text.contains(name).then_some(text);
        let mut processes = BTreeSet::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let pid = entry.file_name().to_string_lossy().parse::<u32>();
            let about = read("cmdline") + &read("cgroup");
            // This test's own name contains it, and so may its shell's.
            if pid.is_ok() && about.contains(&format!("karman-datacenter-{name}")) {
                processes.insert(about);
            }
        }
        let mut groups = BTreeSet::new();
        for hierarchy in children("/sys/fs/cgroup") {
            groups.extend(children(&hierarchy).into_iter().filter_map(named));
        }
        groups.extend(children("/sys/fs/cgroup").into_iter().filter_map(named));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mounts = mounts.lines().map(str::to_owned).filter_map(named).collect();
        let folders =
            ["/run/netns", "/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"];
        let files = folders.into_iter().flat_map(children).filter_map(named).collect();
        Self { processes, groups, mounts, files }
    }
}

fn children(folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path().display().to_string()).collect()
}
