//! What a newcomer feels: how soon it is there, how soon an app runs, how fast
//! tasks start, and what it costs while nothing happens.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::report::{self, Options, Peer, Row};
use super::{floor, launches, submit};
use crate::karmand::Karmand;
use crate::process::say;
use crate::tree;

const STARTS: usize = 5;
const SUBMISSIONS: usize = 200;
const LAUNCHES: u32 = 1_000;
/// Time for what a start leaves to do, before memory is looked at.
const REST: Duration = Duration::from_secs(5);
/// Room for all of it on any machine: these tasks use next to nothing.
const RESOURCES: &str = "cpus:16;mem:16384;disk:16384;ports:[31000-31999]";
const READY_TARGET_MS: f64 = 2_000.0;

pub(crate) fn run(options: Options) -> Result<()> {
    let bin_dir = tree::binaries(tree::Profile::Release)?;
    let mut rows = Vec::new();
    say(&format!("starting {STARTS} times"));
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let datacenter = start(&bin_dir)?;
        starts.push(datacenter.started_in);
        datacenter.stop()?;
    }
    rows.push(Row {
        name: "start_to_ready_ms".to_owned(),
        value: submit::percentile(&mut starts, 50),
        unit: "ms".to_owned(),
        peer: None,
        target: Some(READY_TARGET_MS),
    });
    let datacenter = start(&bin_dir)?;
    say("resting");
    thread::sleep(REST);
    let rss_mib = resident_mib(datacenter.pid())?;
    say(&format!("submitting {SUBMISSIONS} apps"));
    let mut took = submit::measure(&datacenter, SUBMISSIONS)?;
    let (floor_p50, floor_p99) = floor::spawn_ms(u32::try_from(SUBMISSIONS)?)?;
    rows.extend(submissions(&mut took, floor_p50, floor_p99));
    rows.push(Row {
        name: "idle_rss_mib".to_owned(),
        value: rss_mib,
        unit: "MiB".to_owned(),
        peer: None,
        target: None,
    });
    say(&format!("launching {LAUNCHES} tasks"));
    let rate = launches::per_s(&datacenter, usize::try_from(LAUNCHES)?)?;
    let bare = floor::processes_per_s(LAUNCHES)?;
    rows.push(Row {
        name: "launches_per_s".to_owned(),
        value: rate,
        unit: "tasks/s".to_owned(),
        peer: Some(Peer { name: "fork+exec+wait of sh".to_owned(), value: bare }),
        target: None,
    });
    datacenter.stop()?;
    report::publish("first-run", &rows, options)
}

fn submissions(took: &mut [Duration], floor_p50: f64, floor_p99: f64) -> [Row; 2] {
    let row = |name: &str, value, floor| Row {
        name: name.to_owned(),
        value,
        unit: "ms".to_owned(),
        peer: Some(Peer { name: "fork+exec of sh".to_owned(), value: floor }),
        target: None,
    };
    [
        row("submit_to_running_p50_ms", submit::percentile(took, 50), floor_p50),
        row("submit_to_running_p99_ms", submit::percentile(took, 99), floor_p99),
    ]
}

/// A datacenter whose stop ends all tasks and removes all state.
fn start(bin_dir: &Path) -> Result<Karmand> {
    Karmand::start(bin_dir, &["--ephemeral", "--resources", RESOURCES].map(str::to_owned))
}

fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .context("cannot look at karmand's memory")?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .context("the kernel tells no resident memory")?;
    Ok(kib / 1024.0)
}
