//! `cargo xtask fuzz`: looks for bytes that break what comes over a wire.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{exists, print, run, say, succeeds, warn};
use crate::tree;

/// libFuzzer needs the instrumentation of a nightly compiler.
const TOOLCHAIN: &str = "nightly";
/// Enough for every input of the default length; a hundred times what is needed
/// now, so that a message which expands in memory is found.
const RSS_LIMIT_MIB: u32 = 2048;
/// One input that takes longer is a finding.
const INPUT_TIMEOUT_S: u32 = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
    /// Targets to run; without any: all of them
    targets: Vec<String>,
}

/// What became of one target.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    target: String,
    runs: u64,
    per_s: u64,
    /// Inputs that reach something that no other reaches.
    corpus: usize,
    took: Duration,
    passed: bool,
}

pub(crate) fn run_all(args: &Args) -> Result<()> {
    let known = targets()?;
    if let Some(stranger) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no fuzz target '{stranger}'; there are {}", known.join(", "));
    }
    let chosen = if args.targets.is_empty() { known } else { args.targets.clone() };
    provide()?;
    // One build for all: the targets differ in one line.
    run(&mut fuzz("build"))?;
    let mut outcomes = Vec::new();
    for target in &chosen {
        outcomes.push(one(target, args.seconds)?);
    }
    print(&table(&outcomes))?;
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    for outcome in &failed {
        say(&advice(&outcome.target));
    }
    if failed.is_empty() { Ok(()) } else { bail!("{} fuzz targets failed", failed.len()) }
}

fn folder() -> PathBuf {
    tree::root().join("fuzz")
}

/// Every target is a file.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            targets.push(name.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// What is missing is installed; what cannot be is said.
fn provide() -> Result<()> {
    if !exists("rustup") {
        bail!("fuzzing needs a nightly compiler, and rustup to find it: https://rustup.rs");
    }
    if !succeeds(Command::new("rustup").args(["run", TOOLCHAIN, "rustc", "--version"])) {
        run(Command::new("rustup").args([
            "toolchain",
            "install",
            TOOLCHAIN,
            "--profile",
            "minimal",
        ]))
        .context("fuzzing needs a nightly compiler, which could not be installed")?;
    }
    if !exists("c++") && !exists("g++") && !exists("clang++") {
        bail!("libFuzzer is C++: install a compiler, for example with apt-get install g++");
    }
    if !succeeds(cargo().args(["fuzz", "--version"])) {
        run(cargo().args(["install", "--locked", "cargo-fuzz"]))
            .context("fuzzing needs cargo-fuzz, which could not be installed")?;
    }
    Ok(())
}

/// The nightly cargo; the variables of the pinned one would win over it.
fn cargo() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN, "cargo"]).current_dir(folder());
    for variable in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        command.env_remove(variable);
    }
    command
}

/// Without the address sanitizer: the code under test has no `unsafe`, and it
/// is twice as fast without.
fn fuzz(verb: &str) -> Command {
    let mut command = cargo();
    command.args(["fuzz", verb, "--fuzz-dir", ".", "--sanitizer", "none"]);
    command
}

fn one(target: &str, seconds: u32) -> Result<Outcome> {
    let corpus = folder().join("corpus").join(target);
    let seeds = folder().join("seeds").join(target);
    let log = tree::target().join(format!("fuzz-{target}.log"));
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    say(&format!("fuzzing {target} for {seconds} s"));
    let output =
        fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let started = Instant::now();
    // What is found goes into the first folder; the second is only read.
    let mut command = fuzz("run");
    command.arg(target).arg(&corpus).arg(&seeds).args([
        "--".to_owned(),
        format!("-max_total_time={seconds}"),
        format!("-rss_limit_mb={RSS_LIMIT_MIB}"),
        format!("-timeout={INPUT_TIMEOUT_S}"),
        "-print_final_stats=1".to_owned(),
    ]);
    let status = command
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("cannot run cargo-fuzz")?;
    let took = started.elapsed();
    let text = fs::read_to_string(&log).unwrap_or_default();
    if !status.success() {
        warn(&format!("{target} FAILED; the end of {}:", log.display()));
        say(&tail(&text));
    }
    Ok(Outcome {
        target: target.to_owned(),
        runs: statistic(&text, "number_of_executed_units"),
        per_s: statistic(&text, "average_exec_per_sec"),
        corpus: files(&corpus),
        took,
        passed: status.success(),
    })
}

const TAIL_LINES: usize = 40;

fn tail(text: &str) -> String {
    let skip = text.lines().count().saturating_sub(TAIL_LINES);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

/// From `stat::number_of_executed_units: 12345`.
fn statistic(log: &str, name: &str) -> u64 {
    let value = log.lines().find_map(|line| {
        line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok()
    });
    value.unwrap_or_default()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.flatten().count())
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "\n{:<20} {:>12} {:>10} {:>8} {:>7}  result\n",
        "target", "inputs", "per s", "corpus", "took"
    );
    for Outcome { target, runs, per_s, corpus, took, passed } in outcomes {
        let result = if *passed { "ok" } else { "FAILED" };
        text.push_str(&format!(
            "{target:<20} {runs:>12} {per_s:>10} {corpus:>8} {:>5} s  {result}\n",
            took.as_secs()
        ));
    }
    text
}

fn advice(target: &str) -> String {
    format!(
        "\n{target}: the input is in fuzz/artifacts/{target}. To see it fail again:\n    \
           cd fuzz && cargo +{TOOLCHAIN} fuzz run --fuzz-dir . --sanitizer none {target} artifacts/{target}/<file>\n  \
         To make it smaller:\n    \
           cd fuzz && cargo +{TOOLCHAIN} fuzz tmin --fuzz-dir . --sanitizer none {target} artifacts/{target}/<file>\n  \
         Once it is repaired, keep it: copy it to fuzz/seeds/{target}/, which every test run replays."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_the_log() {
        let log =
            "#1\tDONE\nstat::number_of_executed_units: 78\nstat::average_exec_per_sec:     39\n";
        assert_eq!(statistic(log, "number_of_executed_units"), 78);
        assert_eq!(statistic(log, "average_exec_per_sec"), 39);
        assert_eq!(statistic(log, "peak_rss_mb"), 0);
    }

    #[test]
    fn failures_stand_out() {
        let outcome = |passed| Outcome {
            target: "names".to_owned(),
            runs: 5,
            per_s: 1,
            corpus: 2,
            took: Duration::from_secs(3),
            passed,
        };
        let text = table(&[outcome(true), outcome(false)]);
        assert_eq!(text.matches("FAILED").count(), 1, "{text}");
        assert!(advice("names").contains("artifacts/names"));
    }
}
