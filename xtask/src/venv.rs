//! The Python environment with the published clients that tests use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{run, succeeds};
use crate::tree;

const REQUIREMENTS: &str = "tests/requirements.txt";
/// Written last: an environment without it is half made.
const STAMP: &str = "complete";
const CHECK: &str = "import pymesos, marathon, mesoshttp.client";

/// Makes the environment, unless it is there and has what is asked for.
pub(crate) fn provide() -> Result<PathBuf> {
    let venv = tree::target().join("venv");
    let requirements = fs::read_to_string(tree::root().join(REQUIREMENTS))
        .with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let stamp = venv.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|had| had == requirements) && works(&venv) {
        return Ok(venv);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(venv.join("bin/pip")).current_dir(tree::root()).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
        REQUIREMENTS,
    ]))?;
    run(Command::new(venv.join("bin/python")).args(["-c", CHECK]))?;
    fs::write(&stamp, requirements).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(venv)
}

fn works(venv: &Path) -> bool {
    succeeds(Command::new(venv.join("bin/python")).args(["-c", CHECK]))
}
