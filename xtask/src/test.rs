//! `cargo xtask test`: everything the tests need, then the tests.
//! `--datacenter`: the same for those that need whole machines.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{succeeds, warn};
use crate::{dist, etcd, mesos_go, packages, process, tree, venv};

/// Of the tests with whole machines, the one that every run has.
const SHORT: &str = "nodes::joining";

pub(crate) fn run(nextest: &[String]) -> Result<()> {
    for need in packages::provide(&packages::TEST_NEEDS)? {
        skipped(&format!("{} ({})", need.purpose, need.package))?;
    }
    let folder = tree::binaries(tree::Profile::Dev)?;
    provide_nextest()?;
    let mut tests = tree::cargo();
    tests.args(["nextest", "run", "--locked", "--workspace"]).args(nextest);
    tests.env(tree::BIN_DIR, folder).env_remove(tree::TEST_VENV).env_remove(tree::TEST_MESOS_GO);
    match venv::provide() {
        Ok(venv) => {
            tests.env(tree::TEST_VENV, venv);
        }
        Err(error) => {
            warn(&format!("THE PYTHON ENVIRONMENT WAS NOT MADE: {error:#}"));
            skipped("the tests with published client libraries")?;
        }
    }
    match etcd::provide() {
        Ok(programs) => {
            tests.env(tree::TEST_ETCD, programs);
        }
        Err(error) => {
            warn(&format!("THERE IS NO ETCD: {error:#}"));
            skipped("the tests of the store on etcd")?;
        }
    }
    provide_mesos_go(&mut tests)?;
    process::run(&mut tests)?;
    // Whoever chooses tests has chosen those.
    if nextest.is_empty() { in_short() } else { Ok(()) }
}

/// One installation from its bundle to its end, of all that `--datacenter` does.
/// Containers that build software seldom can boot machines: they leave it out.
fn in_short() -> Result<()> {
    match lacks_for_nodes()? {
        Some(lacks) => {
            warn(&format!("NOTHING IS INSTALLED ON WHOLE MACHINES HERE: {lacks}"));
            Ok(())
        }
        None => run_on_nodes(&[SHORT.to_owned()]),
    }
}

/// The tests with whole machines.
pub(crate) fn on_nodes(nextest: &[String]) -> Result<()> {
    match lacks_for_nodes()? {
        Some(lacks) => skipped(&lacks),
        None => run_on_nodes(nextest),
    }
}

/// What this machine has not, of what nodes need.
fn lacks_for_nodes() -> Result<Option<String>> {
    if !process::is_root() {
        return Ok(Some("the tests with whole machines, which need root".to_owned()));
    }
    let missing = packages::provide(&packages::DATACENTER_NEEDS)?;
    Ok(missing.first().map(|need| format!("{} ({})", need.purpose, need.package)))
}

/// They install what `cargo xtask dist --dev` makes.
fn run_on_nodes(nextest: &[String]) -> Result<()> {
    let installer = dist::make(true, None)?;
    provide_nextest()?;
    let mut tests = tree::cargo();
    tests.args(["nextest", "run", "--locked", "--package", "karman-tests"]);
    tests.args(["--profile", "datacenter"]).args(nextest);
    tests.env(tree::BIN_DIR, tree::target().join("debug")).env(tree::TEST_INSTALLER, installer);
    tests.env(tree::TEST_XTASK, std::env::current_exe().context("which program is this?")?);
    process::run(&mut tests)
}

/// Where the archive of its source cannot be reached, even CI does without.
fn provide_mesos_go(tests: &mut Command) -> Result<()> {
    match mesos_go::provide() {
        Ok(programs) => {
            tests.env(tree::TEST_MESOS_GO, programs);
            Ok(())
        }
        Err(error) if mesos_go::unreachable() => {
            warn(&format!("THE TESTS WITH MESOS-GO DO NOT RUN: {error:#}"));
            tests.env(tree::TEST_MESOS_GO, tree::UNREACHABLE);
            Ok(())
        }
        Err(error) => {
            warn(&format!("MESOS-GO WAS NOT BUILT: {error:#}"));
            skipped("the tests with mesos-go")
        }
    }
}

/// What a developer's machine lacks is left out loudly; CI must have it all.
fn skipped(what: &str) -> Result<()> {
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("this machine cannot run {what}, and CI leaves nothing out");
    }
    warn(&format!("SKIPPED: {what}"));
    Ok(())
}

fn provide_nextest() -> Result<()> {
    if succeeds(tree::cargo().args(["nextest", "--version"])) {
        return Ok(());
    }
    process::run(tree::cargo().args(["install", "--locked", "cargo-nextest"]))
        .context("the tests run with cargo-nextest, which could not be installed")
}
