//! What the agent's containers cost, beside those of others in the same run.

use anyhow::{Result, ensure};

use super::containers::{Bench, Runtime};
use super::report::{self, Peer, Row};
use super::submit::percentile;
use crate::{packages, tree};

/// Containers of each kind, one after the other and in turn.
const ROUNDS: u32 = 50;
/// Containers that run at the same time while memory is measured.
const AT_REST: u32 = 20;
/// What was promised.
const SHIM_MIB: f64 = 1.5;

pub(crate) fn run(options: report::Options) -> Result<()> {
    let missing = packages::provide(&packages::CONTAINER_NEEDS)?;
    ensure!(missing.is_empty(), "containers cannot be compared without what is named above");
    let shim = tree::program("karman-agent", "karman-shim")?;
    let rows = std::thread::spawn(move || measure(&shim)).join();
    let rows = rows.map_err(|_| anyhow::anyhow!("the measurement panicked"))??;
    report::publish("agent", &rows, options)
}

/// In a thread with mounts of its own: crun refuses a machine with both
/// generations of control groups, so it is not shown the second.
fn measure(shim: &std::path::Path) -> Result<Vec<Row>> {
    let bench = Bench::new(shim)?;
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (runtime, took) in Runtime::ALL.into_iter().zip(&mut took) {
            took.push(bench.run(runtime, round)?);
        }
    }
    let [karman, crun, runc] = took.map(|mut took| percentile(&mut took, 50));
    let shim_mib = bench.memory_mib(AT_REST)?;
    let row = |name: &str, value, unit: &str, peer: Option<(&str, f64)>, target| Row {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        peer: peer.map(|(name, value)| Peer { name: name.to_owned(), value }),
        target,
    };
    Ok(vec![
        row("container_run_p50_ms", karman, "ms", Some(("crun run", crun)), None),
        row("container_run_vs_runc_p50_ms", karman, "ms", Some(("runc run", runc)), None),
        row("create_start_vs_crun_ratio", karman / crun, "", None, Some(1.0)),
        row("shim_rss_mib", shim_mib, "MiB", None, Some(SHIM_MIB)),
    ])
}
