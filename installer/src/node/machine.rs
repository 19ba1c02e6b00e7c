//! The machine that is worked on: its root folder and its programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A machine, or a folder that stands for one: there nothing is started and no
/// kernel is set.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether this is the running system.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where an absolute path of the machine lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file; empty where there is none.
    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Runs a program of the machine that changes accounts.
    pub fn accounts(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        if !self.is_live() {
            command.arg("--prefix").arg(&self.root);
        }
        run(command.args(arguments)).map(drop)
    }

    /// Ids by name, from `passwd` or `group`.
    pub fn ids(&self, file: &str) -> BTreeMap<String, u32> {
        let text = self.text(file);
        let entry = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }

    pub fn users(&self) -> BTreeMap<String, u32> {
        self.ids("/etc/passwd")
    }

    pub fn groups(&self) -> BTreeMap<String, u32> {
        self.ids("/etc/group")
    }
}

/// Runs a program to its end; its output, or what it complained of.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}").replace('"', "");
    command.stdin(Stdio::null()).env("LC_ALL", "C");
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn systemctl(arguments: &[&str]) -> anyhow::Result<String> {
    run(Command::new("systemctl").args(arguments))
}
