//! An installation without SSH to one machine and without a network to fetch
//! from: a bundle for those that SSH leads to, one line for the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::json;

use super::cluster::{Cluster, SOON, same};
use crate::room::{Shape, until};

const SHAPE: Shape = Shape { masters: 1, agents: 0, public: 0, spare: 1 };
const JOINING: &str = "spare-1";
const ADDRESS: &str = "10.77.0.41";
const TASK: &str = "sleep 86421";

/// Ends with the value, which the nodes outlive.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_machine_joins_with_one_line_and_leaves_as_it_was() {
    let Some(cluster) = Cluster::prepared("joins", SHAPE) else { return };
    let before = cluster.tree(JOINING);
    from_a_bundle(&cluster);
    cluster.log_in();

    let _serving = Serving(cluster.start_installer(&["serve"]));
    let mut line = String::new();
    until("machines are invited", SOON, || {
        let said = cluster.installer(&["invite", "--role", "agent"]);
        line = said.out.lines().find(|line| line.contains("curl")).unwrap_or_default().to_owned();
        if said.code == Some(0) { Ok(()) } else { Err(said) }
    });
    let listens = format!("{} >/dev/null", line.split(" | ").next().expect("a pipe"));
    until("it is served", SOON, || {
        let said = cluster.room.ssh(JOINING, &listens);
        if said.code == Some(0) { Ok(()) } else { Err(said) }
    });
    let wrong = format!("{line}x");
    cluster.room.ssh(JOINING, &wrong).failed().says("token");
    same(JOINING, &before, &cluster.tree(JOINING));

    cluster.room.ssh(JOINING, &line).ok();
    // A machine that was interrupted repeats its line.
    cluster.room.ssh(JOINING, &line).ok();
    until("the agent is known", SOON, || {
        let said = cluster.karman(&["node", "list"]);
        if said.contains(ADDRESS) { Ok(()) } else { Err(said) }
    });
    cluster.add(&json!({ "id": "/sleep", "cmd": TASK, "cpus": 0.1, "mem": 32, "instances": 1 }));
    let tasks = cluster.settled("/sleep", 1, SOON);
    assert_eq!(tasks.first().map(|task| task.host.as_str()), Some(ADDRESS), "{tasks:?}");

    // SSH does not lead there: it is named, and the rest is taken away.
    cluster.installer(&["uninstall", "--yes"]).failed().says(ADDRESS);
    let remove = "/opt/karman/current/bin/karman-installer node remove </dev/null";
    cluster.room.ssh(JOINING, remove).ok();
    let left = cluster.room.ssh(JOINING, &format!("pgrep -fx '{TASK}'"));
    assert_eq!(left.code, Some(1), "its task lives on: {left}");
    same(JOINING, &before, &cluster.tree(JOINING));
}

/// A damaged one first, which changes nothing.
#[track_caller]
fn from_a_bundle(cluster: &Cluster) {
    cluster.installer(&["bundle", "--output-dir", "."]).ok();
    let bundle = bundle_in(&cluster.room.folder);
    let mut bytes = fs::read(&bundle).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = cluster.room.folder.join("damaged.tar.gz");
    fs::write(&damaged, bytes).expect("it can be written");
    let path = |path: &Path| path.to_str().expect("a path").to_owned();
    cluster.installer(&["deploy", "--bundle", &path(&damaged)]).failed().says("damaged");
    cluster.room.ssh("master-1", "test ! -e /opt/karman").ok();
    cluster.installer(&["deploy", "--bundle", &path(&bundle)]).ok();
}

#[track_caller]
fn bundle_in(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let mut paths = entries.flatten().map(|entry| entry.path());
    let is_bundle = |path: &PathBuf| path.to_string_lossy().ends_with(".tar.gz");
    paths.find(is_bundle).expect("a bundle")
}
