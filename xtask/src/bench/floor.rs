//! What the kernel needs for the bare act, with nobody in between: the floor
//! that every manager of processes stands on.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::submit::percentile;

/// Processes of `sh -c true` per second, started one after the other.
pub(crate) fn processes_per_s(number: u32) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..number {
        shell("true")?.wait().context("cannot wait for a shell")?;
    }
    Ok(f64::from(number) / started.elapsed().as_secs_f64())
}

/// How long it takes until a shell has been started: median and 99th percentile.
pub(crate) fn spawn_ms(number: u32) -> Result<(f64, f64)> {
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..number {
        let started = Instant::now();
        let mut child = shell("sleep 60")?;
        took.push(started.elapsed());
        child.kill().context("cannot kill a shell")?;
        child.wait().context("cannot wait for a shell")?;
    }
    Ok((percentile(&mut took, 50), percentile(&mut took, 99)))
}

fn shell(command: &str) -> Result<std::process::Child> {
    Command::new("/bin/sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a shell")
}
