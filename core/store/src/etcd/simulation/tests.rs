//! Many seeds, in parts that run beside each other.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::simulate;

/// In all parts together; another number by `KARMAN_SIM_SEEDS`.
const SEEDS: u64 = 1000;
const PARTS: u64 = 8;
/// In which everything must have come about once.
const RUNS_MAX: u64 = 40;

/// Seeds that have found something.
const FOUND: &[(u64, &str)] = &[];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn check(seed: u64) -> Result<(), String> {
    let shown = variable("KARMAN_SIM_SEED").is_some();
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed, shown))) else {
        return Ok(());
    };
    let problem = match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => (*panic.downcast_ref::<&str>().unwrap_or(&"?")).to_owned(),
    };
    Err(format!(
        "seed {seed}: {problem}\n  KARMAN_SIM_SEED={seed} cargo nextest run -p karman-store simulation"
    ))
}

fn part(part: u64) {
    let first = variable("KARMAN_SIM_FIRST").unwrap_or(1);
    let count = variable("KARMAN_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds: Vec<u64> = match variable("KARMAN_SIM_SEED") {
        Some(seed) if part == 0 => vec![seed],
        Some(_) => Vec::new(),
        None => (first..first + count).filter(|seed| seed % PARTS == part).collect(),
    };
    let failed: Vec<String> = seeds.into_iter().filter_map(|seed| check(seed).err()).collect();
    assert!(failed.is_empty(), "{} seeds fail:\n{}", failed.len(), failed.join("\n"));
}

macro_rules! parts {
    ($($name:ident: $part:literal,)*) => {$(
        #[test]
        fn $name() {
            part($part);
        }
    )*};
}

parts! {
    part_0: 0, part_1: 1, part_2: 2, part_3: 3, part_4: 4, part_5: 5, part_6: 6, part_7: 7,
}

#[test]
fn what_was_found_once_is_not_found_again() {
    let failed: Vec<String> = FOUND
        .iter()
        .filter_map(|(seed, reason)| check(*seed).err().map(|error| format!("{reason}: {error}")))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [7, 77] {
        assert_eq!(simulate(seed, false), simulate(seed, false));
    }
    assert_ne!(simulate(1, false).hash, simulate(2, false).hash);
}

/// A world in which nothing goes wrong would prove nothing.
#[test]
fn everything_comes_about() {
    let mut missing: BTreeSet<&str> = BTreeSet::from([
        "a clock was set",
        "a backup was restored",
        "a leader crashed",
        "a leader was paused",
        "a lease ended early",
        "a request was doubled",
        "a request was lost",
        "a restored backup was noticed",
        "a stream broke",
        "a watch had to list again",
        "a watch met an older cluster",
        "a watch met compaction",
        "an answer was lost",
        "etcd was away",
        "led",
        "lost",
        "lost by a restored backup",
        "not stored",
        "resigned",
        "stored",
    ]);
    let mut acknowledged = 0;
    for seed in 1..=RUNS_MAX {
        let run = simulate(seed, false);
        acknowledged += run.acknowledged;
        missing.retain(|name| !run.seen.contains(name));
    }
    assert_eq!(missing, BTreeSet::new());
    println!("{acknowledged} commits acknowledged in {RUNS_MAX} runs");
    assert!(acknowledged > 100 * usize::try_from(RUNS_MAX).unwrap());
}
