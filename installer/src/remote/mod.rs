//! A machine over SSH: the installer is copied there and runs there.

use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use openssh::{KnownHosts, Session, SessionBuilder, Stdio};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::config::Config;
use crate::layout::INSTALLER;
use crate::node::Event;

const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// So often ssh looks whether the other side is there; it gives up after three.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A busy machine with a slow disk reads the whole installer for its hash.
const SHELL_LIMIT: Duration = Duration::from_secs(120);
/// The whole installer over a slow line.
const UPLOAD_LIMIT: Duration = Duration::from_secs(600);
/// The longest that a machine works on one step without a word.
const SILENCE_LIMIT: Duration = Duration::from_secs(400);
/// Other installers there that nobody uses any more.
const STALE_MINUTES: u32 = 60;
const CHUNK: usize = 1 << 18;
/// What is kept of the errors of a program.
const STDERR_BYTES_MAX: u64 = 1 << 14;

/// An installer to copy: the file and its hash.
#[derive(Clone, Debug)]
pub struct Copy {
    pub file: PathBuf,
    pub sha256: String,
}

/// A connection to a machine.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    /// Whether `sudo` makes us root there.
    sudo: bool,
    log: std::sync::Mutex<File>,
    program: String,
}

impl Remote {
    /// Connects, and finds out how to be root.
    pub async fn connect(
        config: &Config,
        folder: &Path,
        known_hosts: &Path,
        address: IpAddr,
        log: File,
    ) -> anyhow::Result<Self> {
        let mut builder = SessionBuilder::default();
        builder
            .user(config.ssh_user.clone())
            .port(config.ssh_port)
            // Who answers for the first time is noted; another key later is refused.
            .known_hosts_check(KnownHosts::Add)
            .user_known_hosts_file(known_hosts)
            .connect_timeout(CONNECT_LIMIT)
            .server_alive_interval(ALIVE_INTERVAL)
            .control_directory(std::env::temp_dir());
        let place = |path: &str| match path.strip_prefix("~/") {
            Some(_) => PathBuf::from(path),
            None => folder.join(path),
        };
        if let Some(key) = &config.ssh_key_path {
            builder.keyfile(place(key));
        }
        if let Some(file) = &config.ssh_config_path {
            builder.config_file(place(file));
        }
        let session = timeout(CONNECT_LIMIT * 2, builder.connect(address.to_string()))
            .await
            .with_context(|| format!("no answer within {} seconds", (CONNECT_LIMIT * 2).as_secs()))?
            .map_err(|error| anyhow::anyhow!(reason(&error)))?;
        let mut remote =
            Self { session, sudo: false, log: std::sync::Mutex::new(log), program: String::new() };
        if remote.shell("id -u", None).await?.trim() != "0" {
            remote.sudo = true;
            remote.shell("id -u", None).await.with_context(|| {
                format!("'{}' may not use sudo without a password", config.ssh_user)
            })?;
        }
        Ok(remote)
    }

    /// A line for the log of the machine.
    pub fn log(&self, line: &str) {
        let now = jiff::Timestamp::now();
        if let Ok(mut log) = self.log.lock() {
            // The log is a help; work goes on without it.
            let _full = writeln!(log, "{now:.3} {line}");
        }
    }

    fn command(&self, script: &str) -> openssh::OwningCommand<&Session> {
        let mut command = if self.sudo {
            let mut command = self.session.command("sudo");
            command.args(["-n", "sh"]);
            command
        } else {
            self.session.command("sh")
        };
        command.args(["-c", script]);
        command
    }

    /// Runs a script as root; what it printed.
    async fn shell(&self, script: &str, input: Option<&[u8]>) -> anyhow::Result<String> {
        self.log(&format!("$ {script}"));
        let run = async {
            let mut command = self.command(script);
            command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().await?;
            if let (Some(bytes), Some(mut stdin)) = (input, child.stdin().take()) {
                stdin.write_all(bytes).await?;
                stdin.shutdown().await?;
            }
            anyhow::Ok(child.wait_with_output().await?)
        };
        let output = timeout(SHELL_LIMIT, run).await.context("no answer in time")??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            self.log(&said);
            bail!(
                "{} ({})",
                if said.is_empty() { "a command failed" } else { &said },
                output.status
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies the installer there, unless it is there; bytes copied are told.
    pub async fn upload(&mut self, copy: &Copy, tell: impl Fn(u64)) -> anyhow::Result<bool> {
        let Copy { file, sha256 } = copy;
        let program = format!("{INSTALLER}/bin/{sha256}");
        self.program.clone_from(&program);
        let check = format!(
            "echo '{sha256}  {program}' | sha256sum --check --status 2>/dev/null && echo same || echo other"
        );
        if self.shell(&check, None).await?.trim() == "same" {
            return Ok(false);
        }
        // Under a name of its own: another copy may still be on its way.
        let script = format!(
            "set -e; umask 022; mkdir -p {INSTALLER}/bin; new={program}.$$; trap 'rm -f $new' EXIT; cat > $new; \
             echo \"{sha256}  $new\" | sha256sum --check --status || {{ echo 'the copy is damaged or the disk is full' >&2; exit 9; }}; \
             chmod 755 $new; mv $new {program}; \
             find {INSTALLER}/bin -type f ! -name '{sha256}*' -mmin +{STALE_MINUTES} -delete"
        );
        self.log(&format!("$ {script}"));
        let send = async {
            let mut command = self.command(&script);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().await?;
            let mut stdin = child.stdin().take().context("no way to send")?;
            let mut from = tokio::fs::File::open(file).await?;
            let mut chunk = vec![0; CHUNK];
            loop {
                let bytes = from.read(&mut chunk).await?;
                if bytes == 0 {
                    break;
                }
                // What it says when it ends early is better than "broken pipe".
                if stdin.write_all(chunk.get(..bytes).unwrap_or_default()).await.is_err() {
                    break;
                }
                tell(bytes as u64);
            }
            let _ended = stdin.shutdown().await;
            drop(stdin);
            anyhow::Ok(child.wait_with_output().await?)
        };
        let output = timeout(UPLOAD_LIMIT, send).await.context("copying takes too long")??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            self.log(&said);
            bail!("cannot copy the installer there: {said}");
        }
        Ok(true)
    }

    /// Runs a verb of the installer there; events are told as they come.
    pub async fn call(
        &self,
        verb: &str,
        request: &Value,
        mut tell: impl FnMut(&Event),
    ) -> anyhow::Result<Value> {
        self.log(&format!("> {verb}"));
        let mut command = self.command(&format!("exec {} node {verb}", self.program));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().await?;
        let mut stdin = child.stdin().take().context("no way to send")?;
        stdin.write_all(request.to_string().as_bytes()).await?;
        stdin.shutdown().await?;
        drop(stdin);
        let stdout = child.stdout().take().context("no way to read")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut last = None;
        loop {
            let line = timeout(SILENCE_LIMIT, lines.next_line()).await.with_context(|| {
                format!("the machine says nothing for {} seconds", SILENCE_LIMIT.as_secs())
            })?;
            let Some(line) = line? else { break };
            let Ok(event) = serde_json::from_str::<Event>(&line) else {
                self.log(&line);
                continue;
            };
            match &event {
                Event::Step { number, of, what } => self.log(&format!("{number}/{of} {what}")),
                Event::Warning { text } => self.log(&format!("warning: {text}")),
                Event::Result { .. } => self.log("done"),
                Event::Failed { problem } => self.log(&format!("failed: {problem}")),
            }
            tell(&event);
            last = Some(event);
        }
        let mut said = String::new();
        if let Some(stderr) = child.stderr().take() {
            stderr.take(STDERR_BYTES_MAX).read_to_string(&mut said).await?;
        }
        let status: Result<ExitStatus, _> = timeout(SHELL_LIMIT, child.wait()).await?;
        match last {
            Some(Event::Result { value }) => Ok(value),
            Some(Event::Failed { problem }) => bail!("{problem}"),
            Some(Event::Step { what, .. }) => {
                bail!("the connection broke off during '{what}'; repeat to go on")
            }
            Some(Event::Warning { .. }) | None => {
                let ended = status.map_or_else(|error| reason(&error), |status| status.to_string());
                bail!("the installer did not run there ({ended}): {}", said.trim())
            }
        }
    }

    /// Ends the connection.
    pub async fn close(self) {
        // It ends with this process at the latest.
        let _gone = timeout(CONNECT_LIMIT, self.session.close()).await;
    }
}

/// What ssh complained of, on one line.
fn reason(error: &openssh::Error) -> String {
    let text = match error {
        openssh::Error::Connect(error) | openssh::Error::Master(error) => error.to_string(),
        other => other.to_string(),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
