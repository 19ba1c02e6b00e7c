//! Nodes to install on: what `cargo xtask datacenter` makes, for one test.
//! Everything is gone when the value is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::requirement;

const PAUSE: Duration = Duration::from_millis(200);
/// How many lines of each node's journal a failed test shows.
const JOURNAL_LINES: u32 = 40;

/// How many nodes of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub masters: u8,
    pub agents: u8,
    pub public: u8,
    pub spare: u8,
}

/// A datacenter of nodes.
#[derive(Debug)]
pub struct Room {
    name: String,
    xtask: PathBuf,
    /// With `config.yaml` and the SSH key.
    pub folder: PathBuf,
    /// For what the programs of an admin keep in their home.
    home: TempDir,
}

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub errors: String,
    pub took: Duration,
    command: String,
}

impl Said {
    /// # Panics
    /// When the program failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "it failed: {self}");
        self
    }

    /// # Panics
    /// When the program did not fail, or was killed.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "it should have failed: {self}");
        self
    }

    /// # Panics
    /// When it said nothing of the kind.
    #[track_caller]
    pub fn says(self, what: &str) -> Self {
        assert!(self.contains(what), "it does not say '{what}': {self}");
        self
    }

    pub fn contains(&self, what: &str) -> bool {
        self.out.contains(what) || self.errors.contains(what)
    }

    /// # Panics
    /// When it printed something else than JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, out, errors, took, command } = self;
        write!(
            f,
            "{command}\nended with {code:?} after {took:?}\n--- stdout\n{out}--- stderr\n{errors}"
        )
    }
}

impl Room {
    /// Boots nodes; `None` where this machine cannot.
    ///
    /// # Panics
    /// When they do not come up.
    #[track_caller]
    pub fn up(name: &str, shape: Shape) -> Option<Self> {
        let Some(xtask) = std::env::var_os("KARMAN_TEST_XTASK").map(PathBuf::from) else {
            requirement::missing(
                "`cargo xtask test --datacenter`, which provides KARMAN_TEST_XTASK",
            );
            return None;
        };
        let home = tempfile::Builder::new().prefix("karman-home-").tempdir().expect("a folder");
        let mut room = Self { name: format!("test-{name}"), xtask, folder: PathBuf::new(), home };
        // Of a run that was killed.
        room.datacenter(&["down"]).ok();
        let Shape { masters, agents, public, spare } = shape;
        let counts = [
            ("--masters", masters),
            ("--agents", agents),
            ("--public", public),
            ("--spare", spare),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .flat_map(|(name, count)| [name.to_owned(), count.to_string()])
            .collect();
        let mut arguments = vec!["up"];
        arguments.extend(counts.iter().map(String::as_str));
        room.datacenter(&arguments).ok();
        room.folder = room.status()["folder"].as_str().expect("a folder").into();
        Some(room)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.xtask);
        command.args(["datacenter", "--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// A command of `cargo xtask datacenter`.
    #[track_caller]
    pub fn datacenter(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    /// The document of `cargo xtask datacenter status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.datacenter(&["status", "--output", "json"]).ok().json()
    }

    /// The names of the nodes.
    #[track_caller]
    pub fn nodes(&self) -> Vec<String> {
        let status = self.status();
        let nodes = status["nodes"].as_array().expect("a list of nodes");
        nodes.iter().filter_map(|node| Some(node["node"].as_str()?.to_owned())).collect()
    }

    /// A program of this machine, in the network of the nodes.
    #[must_use]
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command(&["run", "--"]);
        command.arg(program).args(arguments);
        command.current_dir(&self.folder).env("HOME", self.home.path());
        command.env("KARMAN_DIR", self.home.path().join("karman"));
        command
    }

    /// Where such programs keep what is theirs.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    #[track_caller]
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        run(&mut self.program(program, arguments))
    }

    /// A command on a node, over SSH.
    #[track_caller]
    pub fn ssh(&self, node: &str, command: &str) -> Said {
        self.datacenter(&["ssh", node, command])
    }

    #[track_caller]
    pub fn kill(&self, node: &str) {
        self.datacenter(&["kill", node]).ok();
    }

    #[track_caller]
    pub fn boot(&self, node: &str) {
        self.datacenter(&["boot", node]).ok();
    }
}

impl Drop for Room {
    #[expect(clippy::print_stderr, reason = "what happened on the nodes explains a failure")]
    fn drop(&mut self) {
        if std::thread::panicking() && !self.folder.as_os_str().is_empty() {
            let journal = format!(
                "journalctl --no-pager --output=short-precise -u 'karman*' -n {JOURNAL_LINES}"
            );
            for node in self.nodes() {
                let said = self.datacenter(&["ssh", &node, &journal]);
                eprintln!("--- {node}\n{}", said.out);
            }
        }
        let said = self.datacenter(&["down"]);
        if said.code != Some(0) {
            eprintln!("the nodes are not gone: {said}");
        }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn run(command: &mut Command) -> Said {
    let shown = format!("{command:?}");
    let begun = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}"));
    said(shown, &output, begun.elapsed())
}

fn said(command: String, output: &Output, took: Duration) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        errors: text(&output.stderr),
        took,
        command,
    }
}

/// Asks until the answer is `Ok`; how long that took.
///
/// # Panics
/// After `limit`, with the last answer.
#[track_caller]
pub fn until<E: std::fmt::Display>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<(), E>,
) -> Duration {
    let begun = Instant::now();
    loop {
        let Err(last) = probe() else { return begun.elapsed() };
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}\nlast state: {last}");
        std::thread::sleep(PAUSE);
    }
}
