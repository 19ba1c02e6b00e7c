//! What can go wrong while nodes are installed: each ends in words that name
//! the machine, and in a state from which `deploy` continues.

use std::time::Duration;

use super::PAIR;
use super::cluster::{Cluster, SOON};
use crate::room::until;

const MASTER: &str = "10.77.0.11";
const AGENT: &str = "10.77.0.21";

/// Deploys once more, and this time it works.
#[track_caller]
fn continues(cluster: &Cluster) {
    cluster.installer(&["deploy"]).ok();
    cluster.installer(&["postflight"]).ok();
}

#[test]
fn a_machine_that_is_off_is_named() {
    let Some(cluster) = Cluster::prepared("off", PAIR) else { return };
    cluster.room.kill("agent-1");
    cluster.installer(&["preflight"]).failed().says(AGENT);
    cluster.installer(&["deploy"]).failed().says(AGENT);
    cluster.room.boot("agent-1");
    continues(&cluster);
}

#[test]
fn a_machine_that_does_not_let_us_in_is_named() {
    let Some(cluster) = Cluster::prepared("key", PAIR) else { return };
    let keys = "/root/.ssh/authorized_keys";
    // The connection that is open still serves to put it back.
    let back = format!("mv {keys} /root/kept; sleep 20; mv /root/kept {keys}");
    cluster.room.ssh("agent-1", &format!("nohup sh -c '{back}' >/dev/null 2>&1 </dev/null &")).ok();
    until("the key is refused", SOON, || {
        if cluster.room.ssh("agent-1", "true").code == Some(0) {
            Err("it is taken")
        } else {
            Ok(())
        }
    });
    cluster.installer(&["deploy"]).failed().says(AGENT);
    until("the key is taken again", SOON, || {
        let said = cluster.room.ssh("agent-1", "true");
        if said.code == Some(0) { Ok(()) } else { Err(said) }
    });
    continues(&cluster);
}

#[test]
fn a_full_disk_is_named() {
    let Some(cluster) = Cluster::prepared("disk", PAIR) else { return };
    cluster.room.ssh("agent-1", "mount -t tmpfs -o size=8m tmpfs /opt").ok();
    cluster.installer(&["preflight"]).failed().says(AGENT);
    cluster.installer(&["deploy"]).failed().says(AGENT);
    cluster.room.ssh("agent-1", "umount /opt").ok();
    continues(&cluster);
}

#[test]
fn a_machine_may_lose_its_power_while_it_is_installed() {
    let Some(cluster) = Cluster::prepared("reboot", PAIR) else { return };
    let mut installer = cluster.start_installer(&["deploy"]);
    until("something has been laid down", SOON, || {
        cluster
            .room
            .ssh("agent-1", "test -e /opt/karman")
            .code
            .filter(|code| *code == 0)
            .map(drop)
            .ok_or("nothing")
    });
    cluster.room.kill("agent-1");
    cluster.room.boot("agent-1");
    installer.wait().expect("the installer ends");
    continues(&cluster);
}

#[test]
fn an_installer_that_was_killed_is_continued() {
    let Some(cluster) = Cluster::prepared("killed", PAIR) else { return };
    // At several moments of its work.
    for moment in [1, 4, 8] {
        let mut installer = cluster.start_installer(&["deploy"]);
        until("it has worked for a while", Duration::from_secs(60), {
            let begun = std::time::Instant::now();
            move || if begun.elapsed().as_secs() >= moment { Ok(()) } else { Err("not yet") }
        });
        installer.kill().expect("it can be killed");
        installer.wait().expect("it ends");
    }
    continues(&cluster);
}

#[test]
fn two_installers_at_once_do_not_meet() {
    let Some(cluster) = Cluster::prepared("two", PAIR) else { return };
    let mut first = cluster.start_installer(&["deploy"]);
    let second = cluster.installer(&["deploy"]);
    let status = first.wait().expect("it ends");
    // One waits for the other, or refuses.
    assert!(status.success() || second.code == Some(0), "{status}: {second}");
    cluster.installer(&["postflight"]).ok();
    cluster.installer(&["status"]).ok().says(MASTER).says(AGENT);
}

#[test]
fn what_was_damaged_on_its_way_is_refused() {
    let Some(cluster) = Cluster::prepared("damaged", PAIR) else { return };
    let packed = std::env::var("KARMAN_TEST_INSTALLER").expect("a packed installer");
    let mut bytes = std::fs::read(packed).expect("it can be read");
    let middle = bytes.len() * 9 / 10;
    bytes[middle] ^= 1;
    let damaged = cluster.room.folder.join("damaged");
    std::fs::write(&damaged, bytes).expect("it can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&damaged, mode).expect("it can be made a program");
    let config = ["deploy", "--config", "config.yaml"];
    cluster.room.run(&damaged, &config).failed().says("damaged");
    let nothing = "test ! -e /opt/karman/current";
    cluster.room.ssh("master-1", nothing).ok();
    cluster.room.ssh("agent-1", nothing).ok();
    continues(&cluster);
}
