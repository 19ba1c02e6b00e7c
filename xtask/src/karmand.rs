//! A `karmand up` that this process starts and stops.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process;

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Karmand {
    child: Option<Child>,
    /// What it printed when it was ready.
    pub line: Value,
    pub started_in: Duration,
}

impl Karmand {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(bin_dir: &Path, arguments: &[String]) -> Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(bin_dir.join("karmand"))
            .arg("up")
            .args(["--output", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Of its own, so that Ctrl-C reaches this process alone, which then stops it in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", bin_dir.join("karmand").display()))?;
        match ready(&mut child) {
            Ok(line) => Ok(Self { child: Some(child), line, started_in: started.elapsed() }),
            Err(error) => {
                process::stop(&mut child, STOP_GRACE)?;
                Err(error)
            }
        }
    }

    /// A member of the line it printed.
    pub(crate) fn address(&self, name: &str) -> Result<&str> {
        self.line[name].as_str().with_context(|| format!("karmand told no address of its {name}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map(Child::id).unwrap_or_default()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait().context("cannot wait for karmand")?.is_some()),
            None => Ok(true),
        }
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => process::stop(&mut child, STOP_GRACE),
            None => Ok(()),
        }
    }

    /// Leaves it running.
    pub(crate) fn detach(mut self) {
        drop(self.child.take());
    }
}

impl Drop for Karmand {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && let Err(error) = process::stop(&mut child, STOP_GRACE)
        {
            process::say(&format!("karmand was not stopped: {error:#}"));
        }
    }
}

/// The line of JSON that says that everything is up.
fn ready(child: &mut Child) -> Result<Value> {
    let stdout = child.stdout.take().context("karmand has no stdout")?;
    let (send, receive) = sync_channel(1);
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        if let Some(Ok(line)) = lines.next()
            && send.send(line).is_ok()
        {
            // Whatever else it prints must not block it.
            lines.for_each(drop);
        }
    });
    match receive.recv_timeout(READY_LIMIT) {
        Ok(line) => serde_json::from_str(&line)
            .with_context(|| format!("karmand printed something else than JSON: {line}")),
        Err(RecvTimeoutError::Timeout) => {
            bail!("karmand was not ready within {} s", READY_LIMIT.as_secs())
        }
        Err(RecvTimeoutError::Disconnected) => {
            match process::wait(child, Duration::from_secs(5))? {
                Some(status) => {
                    bail!("karmand ended before it was ready ({status}); its reason is above")
                }
                None => bail!("karmand closed its stdout before it was ready"),
            }
        }
    }
}
