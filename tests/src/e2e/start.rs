//! What stops a start, and what it says then: one sentence with a remedy.

use std::path::Path;
use std::process::Command;

use crate::datacenter::{Datacenter, command};
use crate::{binaries, requirement};

/// Runs a command that must fail with exactly one line on standard error.
#[track_caller]
fn refused(command: &mut Command, code: i32, contains: &[&str]) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(error.lines().count(), 1, "exactly one line: {error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    for part in contains {
        assert!(error.contains(part), "'{part}' is missing in: {error}");
    }
}

fn config(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("karman.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ports: Vec<String> = [
        "gateway",
        "master",
        "session",
        "agent",
        "marathon",
        "metronome",
        "catalog",
        "dns",
        "dns_http",
    ]
    .iter()
    .map(|role| format!("  {role}: {}", if *role == "marathon" { port } else { 0 }))
    .collect();
    let config = config(folder.path(), &format!("ports:\n{}\n", ports.join("\n")));
    let mut up = Command::new(binaries::path("karmand"));
    up.args(["up", "--data-dir"]).arg(folder.path().join("data")).arg("--config").arg(config);
    refused(
        &mut up,
        1,
        &[&format!("127.0.0.1:{port}"), "Marathon", "another process", "ports.marathon"],
    );
}

#[test]
fn an_unusable_data_folder_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&mut command(&file.join("data")), 1, &["data folder", "--data-dir", "not a directory"]);
    refused(
        &mut command(Path::new("/proc/karman")),
        1,
        &["data folder /proc/karman", "--data-dir"],
    );
    if requirement::is_root() {
        // Root may read everything; anybody else may not write here.
        let mut up = command(Path::new("/root/karman-test-unwritable"));
        std::os::unix::process::CommandExt::uid(&mut up, 65534);
        // The target folder may be closed to other users: then the test says so.
        if up.output().is_ok() {
            refused(&mut up, 1, &["permission denied", "--data-dir"]);
        } else {
            requirement::missing("a binary that other users may run");
        }
    }
}

#[tokio::test]
async fn a_data_folder_is_used_by_one_karmand() {
    let dc = Datacenter::start().await;
    refused(
        &mut command(&dc.ready.data_dir),
        1,
        &["in use by another karmand", &format!("pid {}", dc.ready.pid), "--data-dir"],
    );
}

#[test]
fn a_full_disk_is_explained() {
    if !requirement::is_root() {
        requirement::missing("root, to mount a small disk");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let karmand = binaries::path("karmand");
    // In a mount namespace of its own, which ends with the process.
    let script = format!(
        "mount -t tmpfs -o size=1m none '{0}' && exec '{1}' up --ephemeral --output json --data-dir '{0}'",
        folder.path().display(),
        karmand.display()
    );
    let mut up = Command::new("unshare");
    up.args(["--mount", "sh", "-c", &script]);
    refused(&mut up, 1, &["is full", "free space", "--data-dir"]);
}

#[test]
fn every_mistake_of_a_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        folder.path(),
        "agnets: 2\nports:\n  gatway: 1\n  master: 100000\nlog: {format: xml}\n",
    );
    let parts =
        ["'agents'", "ports.gatway", "'gateway'", "ports.master", "log.format", "karman.yaml"];
    refused(command(&folder.path().join("data")).arg("--config").arg(&config), 1, &parts);
    refused(Command::new(binaries::path("karmand")).arg("check-config").arg(&config), 1, &parts);
    let missing = folder.path().join("missing.yaml");
    refused(
        command(&folder.path().join("data")).arg("--config").arg(&missing),
        1,
        &["missing.yaml", "check"],
    );
}

#[test]
fn wrong_options_are_a_usage_error() {
    let output = command(Path::new("/nowhere")).arg("--agnets=2").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--agents"));
}

#[test]
fn wrong_resources_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        command(&folder.path().join("a")).args(["--resources", "ports:1-2"]),
        1,
        &["resources", "ports:["],
    );
    refused(
        command(&folder.path().join("b")).args(["--resources", "cpus:many"]),
        1,
        &["resources", "cpus"],
    );
    refused(
        command(&folder.path().join("c")).args(["--attributes", "rack"]),
        1,
        &["attributes", "rack"],
    );
}
