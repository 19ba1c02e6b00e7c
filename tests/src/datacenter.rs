//! A whole datacenter for one test: the real `karmand up` on ports that the
//! kernel chooses, with a data folder of its own. Whatever it started is gone
//! when the value is.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tempfile::TempDir;

use crate::http::Api;
use crate::marathon::Marathon;
use crate::{binaries, ports, processes};

/// How long a start may take with an unoptimised build on a busy machine.
pub const START: Duration = Duration::from_secs(30);
/// How long a stop may take.
pub const STOP: Duration = Duration::from_secs(20);
/// How much of the log a failed test shows.
const LOG_LINES: usize = 150;

/// What each agent has, besides ports. More than any machine has: tests ask for
/// what they need, not for what the machine is.
pub const AGENT: [(&str, u32); 3] = [("cpus", 32), ("mem", 32_768), ("disk", 100_000)];

/// The line that `--output json` prints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    pub gateway: String,
    pub master: String,
    pub agents: Vec<String>,
    pub marathon: String,
    pub metronome: String,
    pub catalog: String,
    pub dns: SocketAddr,
    pub data_dir: PathBuf,
    pub pid: i32,
}

/// How to start it.
#[derive(Clone, Debug)]
pub struct Options {
    pub agents: u32,
    /// More options of `karmand up`.
    pub args: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { agents: 1, args: Vec::new() }
    }
}

/// A running datacenter.
#[derive(Debug)]
pub struct Datacenter {
    pub ready: Ready,
    pub http: reqwest::Client,
    /// From the start of the process to its line.
    pub took: Duration,
    child: Child,
    options: Options,
    home: TempDir,
    ports: ports::Block,
}

impl Datacenter {
    /// With one agent.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// # Panics
    /// When it does not become ready.
    pub async fn with(options: Options) -> Self {
        let home =
            tempfile::Builder::new().prefix("karman-test-").tempdir().expect("a temporary folder");
        let ports = ports::Block::take();
        let first = command(&home.path().join("data"));
        let (child, ready, took) = launch(home.path(), first, &options, &ports).await;
        Self { ready, http: client(), took, child, options, home, ports }
    }

    pub fn marathon(&self) -> Marathon<'_> {
        Marathon { base: &self.ready.marathon, http: &self.http }
    }

    /// The master's endpoints and its operator API.
    pub fn master(&self) -> Api<'_> {
        Api { base: &self.ready.master, http: &self.http }
    }

    /// Ends `karmand` as a power cut would: with SIGKILL.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("karmand can be killed");
        self.child.wait().expect("karmand can be waited for");
    }

    /// Starts it again on the same data folder.
    pub async fn start_again(&mut self) {
        let again = command(&self.home.path().join("data"));
        let launched = launch(self.home.path(), again, &self.options, &self.ports).await;
        (self.child, self.ready, self.took) = launched;
    }

    /// The same, with master and agent where they were: their clients come back.
    pub async fn start_again_there(&mut self) {
        let port = |url: &str| url.rsplit(':').next().expect("a URL with a port").to_owned();
        let (master, agent) = (port(&self.ready.master), port(&self.ready.agents[0]));
        let others = ["gateway", "session", "marathon", "metronome", "catalog", "dns", "dns_http"];
        let others = others.map(|name| format!("  {name}: 0\n")).concat();
        let config = self.file("config.yaml");
        let text = format!("ports:\n  master: {master}\n  agent: {agent}\n{others}");
        std::fs::write(&config, text).expect("a file");
        let mut again = Command::new(binaries::path("karmand"));
        again.args(["up", "--output", "json", "--data-dir"]);
        again.arg(self.home.path().join("data")).arg("--config").arg(config);
        again.env_remove("KARMAN_LOG");
        let launched = launch(self.home.path(), again, &self.options, &self.ports).await;
        (self.child, self.ready, self.took) = launched;
    }

    /// Sends a signal to `karmand`.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("karmand can be signalled");
    }

    /// Waits until `karmand` has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child, STOP).await
    }

    /// Ends it with SIGTERM.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// A file for the test's own use, gone with the datacenter.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"))
    }
}

impl Drop for Datacenter {
    #[expect(clippy::print_stderr, reason = "the log explains why a test failed")]
    fn drop(&mut self) {
        // Only what is still alive can be killed; both are fine here.
        let _ended = (self.child.kill(), self.child.wait());
        processes::kill_folder(self.home.path());
        if std::thread::panicking() {
            let log = self.log();
            let skip = log.lines().count().saturating_sub(LOG_LINES);
            eprintln!("--- the last lines of karmand's log ---");
            for line in log.lines().skip(skip) {
                eprintln!("{line}");
            }
        }
    }
}

/// An HTTP client as the tests use it.
///
/// # Panics
/// When the client cannot be built.
pub fn client() -> reqwest::Client {
    // A second test in this process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

/// The command of a start with this data folder.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(binaries::path("karmand"));
    command
        .args(["up", "--ephemeral", "--output", "json", "--data-dir"])
        .arg(data_dir)
        .env_remove("KARMAN_LOG");
    command
}

/// Waits until a child has ended.
///
/// # Panics
/// When that takes longer than `limit`.
pub async fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        assert!(begun.elapsed() < limit, "karmand did not end within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn launch(
    home: &Path,
    mut command: Command,
    options: &Options,
    ports: &ports::Block,
) -> (Child, Ready, Duration) {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(home.join("log"))
        .expect("a log file");
    let begun = Instant::now();
    let scalars = AGENT.map(|(name, amount)| format!("{name}:{amount};")).concat();
    let resources = format!("{scalars}ports:{}", ports.ranges());
    let mut child = command
        .args([
            "--agents",
            &options.agents.to_string(),
            "--resources",
            &resources,
            "--log-level",
            "info",
        ])
        .args(&options.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("karmand starts");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let line = match tokio::time::timeout(START, line).await {
        Ok(line) => line.expect("the reader does not panic").expect("standard output can be read"),
        Err(_) => String::new(),
    };
    if line.is_empty() {
        let _ended = (child.kill(), child.wait());
        processes::kill_folder(home);
        let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
        panic!("karmand was not ready within {START:?}; its log:\n{log}");
    }
    let ready = serde_json::from_str(&line).expect("the line is the JSON of the addresses");
    (child, ready, begun.elapsed())
}
