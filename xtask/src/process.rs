//! Running other programs, and talking to the developer meanwhile.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const POLL_PAUSE: Duration = Duration::from_millis(20);

/// One line to stderr.
pub(crate) fn say(line: &str) {
    // Nowhere is left to report a stderr that is gone.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// A line that must not be overlooked.
pub(crate) fn warn(line: &str) {
    say(&format!("\n*** {line} ***\n"));
}

/// Text to stdout.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// Runs a program to its successful end, and shows what is run.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", line_of(command)));
    let status = command.status().with_context(|| format!("cannot run {}", line_of(command)))?;
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", line_of(command)) }
}

/// Runs a program silently; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program can be found.
pub(crate) fn exists(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn line_of(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let mut line = program.into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Waits for a child to end, for a limited time.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child process")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL_PAUSE);
    }
}

/// Asks a child to end, and makes it end after `grace`.
pub(crate) fn stop(child: &mut Child, grace: Duration) -> Result<()> {
    if child.try_wait().context("cannot wait for a child process")?.is_some() {
        return Ok(());
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id is an i32")?);
    // It may have ended since; waiting tells.
    let _ = kill(pid, Signal::SIGTERM);
    if wait(child, grace)?.is_none() {
        say(&format!("process {pid} did not stop within {} s and is killed", grace.as_secs()));
        child.kill().context("cannot kill a child process")?;
        child.wait().context("cannot wait for a child process")?;
    }
    Ok(())
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
