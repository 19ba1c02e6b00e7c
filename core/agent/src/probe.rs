//! Asks tasks how they are.
//!
//! Task: one per check of a running task. Input: the clock. Outputs: events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use karman_api::mesos::v1::CommandInfo;
use karman_rt::time::now_ms;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::checks::{Checker, Outcome, Probe};
use crate::core::Event;

/// Which of the two checks of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Health,
    Check,
}

/// Where a command check runs.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) sandbox: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) user: Option<String>,
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
            let outcome = timeout(limit, ask(&checker.spec().probe, &surroundings)).await;
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

async fn ask(probe: &Probe, surroundings: &Surroundings) -> Outcome {
    match probe {
        Probe::Http { scheme, port, path, ipv6 } => ask_http(scheme, *port, path, *ipv6).await,
        Probe::Tcp { port, ipv6 } => match TcpStream::connect((loopback(*ipv6), *port)).await {
            Ok(_) => Outcome::Tcp,
            Err(error) => Outcome::None(error.to_string()),
        },
        Probe::Command(command) => ask_command(command, surroundings).await,
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

async fn ask_command(command: &CommandInfo, surroundings: &Surroundings) -> Outcome {
    let mut process = if command.shell() {
        let mut process = tokio::process::Command::new("/bin/sh");
        process.arg("-c").arg(command.value());
        process
    } else {
        let mut process = tokio::process::Command::new(command.value());
        process.args(command.arguments.iter().skip(1));
        process
    };
    process.env_clear().envs(surroundings.environment.iter().map(|(name, value)| (name, value)));
    for variable in command.environment.iter().flat_map(|environment| &environment.variables) {
        process.env(&variable.name, variable.value.as_deref().unwrap_or_default());
    }
    process.current_dir(&surroundings.sandbox).process_group(0);
    process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(name) = &surroundings.user {
        let Ok(Some(user)) = nix::unistd::User::from_name(name) else {
            return Outcome::None(format!("no user '{name}' on this machine"));
        };
        process.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let mut child = match process.spawn() {
        Ok(child) => child,
        Err(error) => return Outcome::None(error.to_string()),
    };
    let _group = Group(child.id());
    match child.wait().await {
        Ok(status) => status
            .code()
            .map_or_else(|| Outcome::None("killed by a signal".into()), Outcome::Command),
        Err(error) => Outcome::None(error.to_string()),
    }
}

/// Ends everything that a check started, however it is left.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            crate::process::signal_group(leader, rustix::process::Signal::KILL);
        }
    }
}
