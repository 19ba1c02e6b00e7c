//! The campaign against real processes: a hundred leaders killed under load.

use anyhow::{Context as _, Result};
use karman_tests::binaries;
use karman_tests::chaos::{Plan, run as campaign};
use karman_tests::etcd::programs;

use crate::row::{Row, ms, percentile, say};

const KILLS: u32 = 100;
const SEED: u64 = 1;
const TARGET_MS: f64 = 3_000.0;

pub(crate) fn run() -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("KARMAN_CHAOS_SEED").unwrap_or(SEED);
    let kills = number("KARMAN_CHAOS_KILLS").and_then(|kills| u32::try_from(kills).ok());
    let programs = programs().context("there is no etcd")?;
    let mut report = campaign(Plan { seed, kills: kills.unwrap_or(KILLS) }, &programs)?;
    let path = binaries::root().join("target").join(format!("chaos-{seed}.json"));
    std::fs::write(&path, format!("{:#}\n", report.json))?;
    say(&format!("the report is in {}", path.display()));
    for violation in &report.violations {
        say(&format!("VIOLATED: {violation}"));
    }
    let p99 = percentile(&mut report.kill_to_write, 99);
    Row::new("leader_kill_to_write_p99_ms", ms(p99), "ms").target(TARGET_MS).print();
    let lost_or_doubled = u32::try_from(report.violations.len()).unwrap_or(u32::MAX);
    Row::new("lost_or_doubled_over_100_kills", f64::from(lost_or_doubled), "").target(0.0).print();
    Ok(())
}
