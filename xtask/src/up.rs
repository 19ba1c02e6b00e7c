//! `cargo xtask up`: from a fresh clone to a running app.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::http::Client;
use crate::karmand::Karmand;
use crate::{packages, process, tree};

const SAMPLE: &str = "examples/web.json";
const SAMPLE_ID: &str = "web";
const DEPLOY_LIMIT: &str = "2m";
const LIFE_SIGN_PERIOD: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Return once it is up, and leave it running
    #[arg(long)]
    detach: bool,
    /// Build faster, run slower: without optimisation
    #[arg(long)]
    dev: bool,
    /// Arguments for karmand up, for example: -- --agents 2
    #[arg(last = true)]
    karmand: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !packages::provide(&[packages::PYTHON])?.is_empty() {
        bail!("the sample app needs python3; install it with the line above and try again");
    }
    let profile = if args.dev { tree::Profile::Dev } else { tree::Profile::Release };
    let bin_dir = tree::binaries(profile)?;
    let signals = Interrupt::listen()?;
    let mut datacenter = Karmand::start(&bin_dir, &arguments(&args.karmand))?;
    let gateway = datacenter.address("gateway")?.to_owned();
    let added = deploy(&bin_dir, &gateway)?;
    process::print(&welcome(&datacenter, &bin_dir, args.detach)?)?;
    if args.detach {
        datacenter.detach();
        return Ok(());
    }
    let stopped = signals.wait(&mut datacenter)?;
    if !stopped {
        bail!("karmand ended by itself; its reason is above");
    }
    if added {
        remove(&bin_dir, &gateway);
    }
    let left = remaining(&gateway);
    process::say("stopping the datacenter");
    datacenter.stop()?;
    if left > 0 {
        process::say(&format!(
            "{left} tasks of other apps keep running; they are found again at the next start"
        ));
    }
    Ok(())
}

/// State lies in the target folder, unless something else is asked for: trying
/// Karman out must leave nothing behind on the machine.
fn arguments(given: &[String]) -> Vec<String> {
    let mut arguments = given.to_vec();
    let chosen = |argument: &String| {
        ["--data-dir", "--ephemeral", "--config"]
            .iter()
            .any(|name| argument.split('=').next() == Some(*name))
    };
    if !given.iter().any(chosen) {
        arguments.extend([
            "--data-dir".to_owned(),
            tree::target().join("datacenter").display().to_string(),
        ]);
    }
    arguments
}

fn karman(bin_dir: &Path, gateway: &str) -> Command {
    let mut command = Command::new(bin_dir.join("karman"));
    command.current_dir(tree::root()).args(["--cluster", gateway]);
    command
}

/// Deploys the sample app, unless it is there from the last time.
fn deploy(bin_dir: &Path, gateway: &str) -> Result<bool> {
    if process::succeeds(karman(bin_dir, gateway).args(["app", "show", SAMPLE_ID])) {
        process::say("the sample app is already there");
        return Ok(false);
    }
    process::run(karman(bin_dir, gateway).args([
        "app",
        "add",
        SAMPLE,
        "--wait",
        "--timeout",
        DEPLOY_LIMIT,
    ]))
    .context("the sample app did not come up")?;
    Ok(true)
}

/// The app that was only added to have something to look at goes with us.
fn remove(bin_dir: &Path, gateway: &str) {
    let mut remove = karman(bin_dir, gateway);
    remove.args(["app", "remove", SAMPLE_ID, "--force", "--wait", "--timeout", "20s"]);
    // It may be gone already, or the datacenter may be: both are said on stderr.
    drop(remove.stdout(Stdio::null()).status());
}

fn remaining(gateway: &str) -> usize {
    let tasks = Client::new().get(&format!("{gateway}/service/marathon/v2/tasks"));
    tasks.ok().and_then(|document| document["tasks"].as_array().map(Vec::len)).unwrap_or_default()
}

fn welcome(datacenter: &Karmand, bin_dir: &Path, detached: bool) -> Result<String> {
    let gateway = datacenter.address("gateway")?;
    let dns = datacenter.address("dns")?;
    let (dns_host, dns_port) = dns.rsplit_once(':').context("the address of dns has a port")?;
    let shown = bin_dir.strip_prefix(tree::root()).unwrap_or(bin_dir).join("karman");
    let mut cli = shown.display().to_string();
    if gateway != "http://127.0.0.1:8000" {
        cli.push_str(&format!(" --cluster {gateway}"));
    }
    let end = if detached {
        format!("It runs as process {}; stop it with: kill {}", datacenter.pid(), datacenter.pid())
    } else {
        "Ctrl-C stops it.".to_owned()
    };
    Ok(format!(
        "\nKarman is up, and runs {SAMPLE} three times.\n\n  \
           dashboard  {gateway}\n  \
           state      {}\n\n\
         Three things to try:\n\n  \
           {cli} task log {SAMPLE_ID} stderr\n  \
           {cli} app scale {SAMPLE_ID} 5 --wait\n  \
           dig @{dns_host} -p {dns_port} {SAMPLE_ID}.marathon.mesos A +short\n\n\
         {end}\n",
        datacenter.line["data_dir"].as_str().map_or_else(|| Value::Null.to_string(), str::to_owned),
    ))
}

/// Ctrl-C and its relatives.
struct Interrupt {
    arrived: std::sync::mpsc::Receiver<i32>,
}

impl Interrupt {
    /// From now on signals are noticed instead of ending this process.
    fn listen() -> Result<Self> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let (send, arrived) = sync_channel(1);
        thread::spawn(move || {
            for signal in signals.forever() {
                // A second one, while the first is handled, says nothing new.
                let _ = send.try_send(signal);
            }
        });
        Ok(Self { arrived })
    }

    /// Waits for a signal, or for the datacenter to end: then `false`.
    fn wait(&self, datacenter: &mut Karmand) -> Result<bool> {
        loop {
            match self.arrived.recv_timeout(LIFE_SIGN_PERIOD) {
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return Ok(true),
                Err(RecvTimeoutError::Timeout) if datacenter.ended()? => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
