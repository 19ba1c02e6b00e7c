//! Where things are in the repository, and how its binaries are built.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// What tests get to know about their surroundings; see docs/testing.md.
pub(crate) const BIN_DIR: &str = "KARMAN_BIN_DIR";
pub(crate) const TEST_VENV: &str = "KARMAN_TEST_VENV";
pub(crate) const TEST_MESOS_GO: &str = "KARMAN_TEST_MESOS_GO";
pub(crate) const TEST_ETCD: &str = "KARMAN_ETCD_DIR";
pub(crate) const TEST_XTASK: &str = "KARMAN_TEST_XTASK";
pub(crate) const TEST_INSTALLER: &str = "KARMAN_TEST_INSTALLER";
/// In place of a folder, where its source could not be downloaded.
pub(crate) const UNREACHABLE: &str = "unreachable";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, PathBuf::from)
}

pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Cargo, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Builds `karmand`, its shim and `karman`; the folder they are in.
pub(crate) fn binaries(profile: Profile) -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "build",
        "--locked",
        "--package",
        "karman-node",
        "--package",
        "karman-cli",
        "--package",
        "karman-agent",
        "--bins",
    ]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    process::run(&mut build)?;
    Ok(target().join(folder))
}

/// Builds a program of the workspace for measurements; the path of it.
pub(crate) fn program(package: &str, name: &str) -> Result<PathBuf> {
    process::run(cargo().args([
        "build",
        "--locked",
        "--release",
        "--package",
        package,
        "--bin",
        name,
    ]))?;
    Ok(target().join("release").join(name))
}
