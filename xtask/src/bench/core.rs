//! The resource core, measured by a program of the tests crate that drives it
//! with emulated agents and frameworks.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::report::{self, Peer, Row};
use crate::tree;

const PACKAGE: &str = "karman-tests";
const PROGRAM: &str = "core-bench";

/// Those that are about one master alone.
const PARTS: [&str; 5] = ["allocation", "failover", "launches", "state", "memory"];

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    #[command(flatten)]
    report: report::Options,
    /// Only these parts: allocation, failover, launches, state, memory [default: all]
    parts: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = if options.parts.is_empty() {
        measure(&PARTS.map(str::to_owned), &[])?
    } else {
        measure(&options.parts, &[])?
    };
    report::publish("core", &rows, options.report)
}

/// Runs parts of the program; the rows it prints.
pub(super) fn measure(parts: &[String], environment: &[(&str, PathBuf)]) -> Result<Vec<Row>> {
    let program = tree::program(PACKAGE, PROGRAM)?;
    let mut running = Command::new(program)
        .args(parts)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {PROGRAM}"))?;
    let output = running.stdout.take().context("the program has no output")?;
    let rows: Vec<Row> = BufReader::new(output)
        .lines()
        .map(|line| row(&serde_json::from_str(&line?)?).context("a line of the program is no row"))
        .collect::<Result<_>>()?;
    ensure!(running.wait()?.success(), "{PROGRAM} failed");
    Ok(rows)
}

/// From a line of the program's output.
fn row(line: &Value) -> Option<Row> {
    let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
    let number = |name: &str| line.get(name)?.as_f64();
    Some(Row {
        name: text("name")?,
        value: number("value")?,
        unit: text("unit")?,
        peer: number("peer").zip(text("peer_name")).map(|(value, name)| Peer { name, value }),
        target: number("target"),
    })
}
