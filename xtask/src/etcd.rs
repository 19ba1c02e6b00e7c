//! etcd, as Debian builds and signs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::{exists, run};
use crate::tree;

pub(crate) const PROGRAMS: [&str; 2] = ["etcd", "etcdctl"];
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// The folder with the programs, out of the packages where it is missing.
/// Nothing is installed: a package would start a service.
pub(crate) fn provide() -> Result<PathBuf> {
    let folder = tree::target().join("etcd");
    if PROGRAMS.iter().all(|program| folder.join(program).is_file()) {
        return Ok(folder);
    }
    ensure!(
        exists("apt-get") && exists("dpkg-deb"),
        "this machine is no Debian, whose packages of etcd are taken; name a folder with etcd and etcdctl with --etcd-dir"
    );
    let work = folder.join("work");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    download(&work)?;
    for package in packages(&work)? {
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(work.join("root")))?;
    }
    for program in PROGRAMS {
        let (from, to) = (work.join("root/usr/bin").join(program), folder.join(program));
        fs::rename(&from, &to).with_context(|| format!("the packages contain no {program}"))?;
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    Ok(folder)
}

/// Apt compares what it downloads with its signed lists, which may be missing here.
fn download(folder: &Path) -> Result<()> {
    let attempt = || {
        let mut apt = Command::new("apt-get");
        // The account that apt downloads as cannot write here.
        apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(PACKAGES);
        run(apt.current_dir(folder))
    };
    attempt().or_else(|_| {
        run(Command::new("apt-get").args(["update", "-qq"]))?;
        attempt()
    })
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    found.sort();
    ensure!(found.len() == PACKAGES.len(), "apt downloaded {found:?} instead of {PACKAGES:?}");
    Ok(found)
}
