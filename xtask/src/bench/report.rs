//! What a measurement says: a table, lines of JSON, a section of the docs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::process::print;
use crate::tree;

const FILE: &str = "docs/benchmarks.md";
const TITLE: &str = "# Benchmarks\n\nMeasured by `cargo xtask bench`; each section is written by the command in it.\n";

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Print a table, or one line of JSON for each row
    #[arg(long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
    /// Also write the table into docs/benchmarks.md
    #[arg(long)]
    pub write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    Table,
    Json,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What something else needs for the same on this machine, measured in the same run.
    pub peer: Option<Peer>,
    /// What was promised.
    pub target: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peer {
    pub name: String,
    pub value: f64,
}

pub(crate) fn publish(section: &str, rows: &[Row], options: Options) -> Result<()> {
    match options.output {
        Form::Table => print(&table(rows))?,
        Form::Json => print(&lines(rows))?,
    }
    if options.write {
        let path = tree::root().join(FILE);
        let before = fs::read_to_string(&path).unwrap_or_else(|_| TITLE.to_owned());
        let text = replace_section(&before, section, &section_text(section, rows, &machine()));
        fs::write(&path, text).with_context(|| format!("cannot write {FILE}"))?;
    }
    Ok(())
}

pub(crate) fn lines(rows: &[Row]) -> String {
    rows.iter()
        .map(|row| {
            let document = json!({
                "name": row.name,
                "value": rounded(row.value),
                "unit": row.unit,
                "peer": row.peer.as_ref().map(|peer| rounded(peer.value)),
                "peer_name": row.peer.as_ref().map(|peer| &peer.name),
                "target": row.target,
            });
            format!("{document}\n")
        })
        .collect()
}

/// A Markdown table, which reads well in a terminal too.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut cells = vec![["measure", "value", "unit", "peer", "target"].map(str::to_owned)];
    for row in rows {
        let peer = row.peer.as_ref().map(|peer| format!("{} ({})", rounded(peer.value), peer.name));
        let target = row.target.map(|target| rounded(target).to_string());
        cells.push([
            row.name.clone(),
            rounded(row.value).to_string(),
            row.unit.clone(),
            peer.unwrap_or_default(),
            target.unwrap_or_default(),
        ]);
    }
    let widths: Vec<usize> = (0..5)
        .map(|column| {
            cells.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn rounded(value: f64) -> f64 {
    let factor = if value.abs() < 10.0 { 100.0 } else { 10.0 };
    (value * factor).round() / factor
}

fn section_text(section: &str, rows: &[Row], machine: &str) -> String {
    format!(
        "{}\n\n`cargo xtask bench {section} --write`, on {machine}.\n\n{}",
        heading(section),
        table(rows)
    )
}

fn heading(section: &str) -> String {
    format!("## {section}")
}

/// The document with one of its sections exchanged, or added at its end.
fn replace_section(document: &str, section: &str, text: &str) -> String {
    let heading = heading(section);
    let mut out = String::new();
    let mut replaced = false;
    let mut skipping = false;
    for line in document.lines() {
        if line.starts_with("## ") {
            skipping = line == heading;
            if skipping {
                out.push_str(text);
                out.push('\n');
                replaced = true;
            }
        }
        if !skipping {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !replaced {
        out.push('\n');
        out.push_str(text);
    }
    format!("{}\n", out.trim_end())
}

/// The machine in one line.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value_of(&processors, "model name", ':').unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = value_of(&memory, "MemTotal", ':')
        .and_then(|text| text.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = value_of(&system, "PRETTY_NAME", '=').unwrap_or("Linux").trim_matches('"');
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = revision(&tree::root());
    format!(
        "{cores} × {model}, {} GiB, {system}, Linux {}, at {commit}",
        kib / (1024 * 1024),
        kernel.trim()
    )
}

fn value_of<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

fn revision(root: &Path) -> String {
    let output =
        Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short", "HEAD"]).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "an unknown commit".to_owned(),
    }
}

#[cfg(test)]
mod tests;
