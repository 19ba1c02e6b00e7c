//! Asks tasks how they are.
//!
//! Task: one per check of a running task. Input: the clock. Outputs: events.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use karman_api::mesos::v1::CommandInfo;
use karman_rt::time::now_ms;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::checks::{Checker, Outcome, Probe};
use crate::core::Event;
use crate::driver::blocking;
use crate::nested;
use crate::shim::once::{self, Answer};
use crate::shim::records::{Cause, Launch, RunDir, Running, Stored};

/// Between the end of a command's time and that of its processes.
const COMMAND_END_MAX: Duration = Duration::from_secs(5);

/// Which of the two checks of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Health,
    Check,
}

/// Where a command check runs.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Of the task: how it was launched.
    pub(crate) run: RunDir,
    pub(crate) shim: PathBuf,
}

/// Probes until `over`.
pub(crate) async fn run(
    container_id: String,
    kind: Kind,
    mut checker: Checker,
    surroundings: Surroundings,
    events: mpsc::Sender<Event>,
    over: CancellationToken,
) {
    let rounds = async {
        loop {
            sleep(Duration::from_millis(checker.due_ms().saturating_sub(now_ms()))).await;
            let limit = Duration::from_millis(checker.spec().timeout_ms);
            // A command is ended, with all that it started, by whoever runs it.
            let probe = &checker.spec().probe;
            let patience = match probe {
                Probe::Command(_) => limit + COMMAND_END_MAX,
                Probe::Http { .. } | Probe::Tcp { .. } => limit,
            };
            let outcome = timeout(patience, ask(probe, &surroundings, limit)).await;
            let outcome = outcome.unwrap_or_else(|_| Outcome::None("timed out".into()));
            for effect in checker.apply(now_ms(), outcome) {
                let event = Event::Checked { container_id: container_id.clone(), kind, effect };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = rounds => {}
        () = over.cancelled() => {}
    }
}

async fn ask(probe: &Probe, surroundings: &Surroundings, limit: Duration) -> Outcome {
    match probe {
        Probe::Http { scheme, port, path, ipv6 } => ask_http(scheme, *port, path, *ipv6).await,
        Probe::Tcp { port, ipv6 } => match TcpStream::connect((loopback(*ipv6), *port)).await {
            Ok(_) => Outcome::Tcp,
            Err(error) => Outcome::None(error.to_string()),
        },
        Probe::Command(command) => ask_command(command, surroundings, limit).await,
    }
}

fn loopback(ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

async fn ask_http(scheme: &str, port: u16, path: &str, ipv6: bool) -> Outcome {
    let Some(client) = client() else { return Outcome::None("no HTTP client".into()) };
    let address = std::net::SocketAddr::new(loopback(ipv6), port);
    match client.get(format!("{scheme}://{address}{path}")).send().await {
        Ok(response) => Outcome::Http(response.status().as_u16().into()),
        Err(error) => Outcome::None(karman_rt::chain(&error)),
    }
}

/// One for all checks. A certificate cannot name the loopback address, so it
/// is not looked at; a redirection is an answer.
fn client() -> Option<&'static reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .danger_accept_invalid_certs(true)
                .pool_max_idle_per_host(0)
                .no_proxy()
                .build()
                .ok()
        })
        .as_ref()
}

/// Inside of the container, as the task itself would run it.
async fn ask_command(
    command: &CommandInfo,
    surroundings: &Surroundings,
    limit: Duration,
) -> Outcome {
    match answer(command, surroundings, limit).await {
        Ok(Answer::Ended(Cause::Status(status))) => Outcome::Command(status),
        Ok(Answer::Ended(Cause::Signal(_))) => Outcome::None("killed by a signal".into()),
        Ok(Answer::Ended(Cause::NotStarted(reason))) => Outcome::None(reason),
        Ok(Answer::Ended(Cause::NeverStarted)) => Outcome::None("it was not started".into()),
        Ok(Answer::OutOfTime) => Outcome::None("timed out".into()),
        Err(error) => Outcome::None(error.to_string()),
    }
}

async fn answer(
    command: &CommandInfo,
    surroundings: &Surroundings,
    limit: Duration,
) -> io::Result<Answer> {
    let (run, command) = (surroundings.run.clone(), command.clone());
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let order = blocking(move || order(&run, command, limit_ms)).await?;
    let mut shim = tokio::process::Command::new(&surroundings.shim)
        .args(["shim", once::ARGUMENT])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = shim.stdin.take() {
        input.write_all(&order).await?;
    }
    let said = shim.wait_with_output().await?.stdout;
    Ok(serde_json::from_slice(&said)?)
}

/// The command with the view and the rights that the task has.
fn order(run: &RunDir, command: CommandInfo, limit_ms: u64) -> io::Result<Vec<u8>> {
    let Stored::V1(parent) = serde_json::from_slice::<Stored<Launch>>(&fs::read(run.launch())?)?;
    let running = serde_json::from_slice::<Stored<Running>>(&fs::read(run.running())?)?;
    let Running { task, init } = running.newest();
    let wanted = nested::Order { path: Vec::new(), command, terminal: None, session: false };
    let spec = nested::spec(&parent.spec, init.unwrap_or(task), &wanted);
    let spec = spec.map_err(io::Error::other)?;
    Ok(serde_json::to_vec(&once::Order { spec, limit_ms })?)
}
