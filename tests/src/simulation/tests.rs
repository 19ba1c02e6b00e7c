//! Many seeds, in parts that run beside each other.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::seeds::FOUND;
use super::{run, simulate};

/// In all parts together; another number by `KARMAN_SIM_SEEDS`.
const SEEDS: u64 = 1000;
const PARTS: u64 = 20;
/// In which everything must have come about once.
const RUNS_MAX: u64 = 60;
/// Of the trace of a run that failed.
const LINES_SHOWN: usize = 3000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs the seed again with a trace if it fails, and shows the end of it.
fn check(seed: u64) -> Result<(), String> {
    let Err(_shown) = catch_unwind(AssertUnwindSafe(|| simulate(seed, None))) else {
        return Ok(());
    };
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let again = catch_unwind(AssertUnwindSafe(|| simulate(seed, Some(Arc::clone(&lines)))));
    let lines = lines.lock().unwrap();
    for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
        println!("{line}");
    }
    let problem = match again {
        Ok(_) => "not the second time: the simulation is not deterministic".to_owned(),
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => (*panic.downcast_ref::<&str>().unwrap_or(&"?")).to_owned(),
        },
    };
    Err(format!(
        "seed {seed}: {problem}\n  KARMAN_SIM_SEED={seed} cargo nextest run -p karman-tests simulation"
    ))
}

/// Every twentieth seed; one alone by `KARMAN_SIM_SEED`.
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
    part_00: 0, part_01: 1, part_02: 2, part_03: 3, part_04: 4,
    part_05: 5, part_06: 6, part_07: 7, part_08: 8, part_09: 9,
    part_10: 10, part_11: 11, part_12: 12, part_13: 13, part_14: 14,
    part_15: 15, part_16: 16, part_17: 17, part_18: 18, part_19: 19,
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
    for seed in [1, 2, 3] {
        let run = || simulate(seed, Some(Arc::default()));
        let first = run();
        assert_eq!(first, run(), "seed {seed}");
        assert!(first.steps > 50, "seed {seed} does something: {first:?}");
    }
}

/// What no run brings about is not tested by any.
#[test]
fn everything_comes_about_in_some_run() {
    let mut missing = BTreeSet::from([
        "a command is carried out",
        "a command is refused",
        "a drained agent is used again",
        "a framework is asked to leave",
        "a group is launched",
        "a machine that is down wants in",
        "a task with an executor is launched",
        "agents are given up in turn",
        "an agent is shut down",
        "an executor ends",
        "an agent is smaller",
        "an agent may not be smaller",
        "an operation is done",
    ]);
    for seed in 1..=RUNS_MAX {
        for seen in run(seed, None).truth.seen {
            missing.remove(seen);
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("in {RUNS_MAX} runs never: {missing:?}");
}
