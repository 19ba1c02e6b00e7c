//! From upstream JSON to what a page shows. Pure: a snapshot goes in, a view
//! model comes out, and the clock is an argument.
#![deny(clippy::disallowed_methods)]

pub mod deployments;
pub mod form;
pub mod format;
pub mod nodes;
pub mod overview;
pub mod service;
pub mod services;
pub mod tasks;

use crate::wire::{marathon, mesos};

/// Everything that the pages show, read at about the same time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was read, in milliseconds since the epoch.
    pub taken_ms: u64,
    pub summary: mesos::Summary,
    pub slaves: Vec<mesos::Slave>,
    pub tasks: Vec<mesos::Task>,
    pub apps: Vec<marathon::App>,
    pub deployments: Vec<marathon::Deployment>,
    pub queue: Vec<marathon::Queued>,
    /// Who did not answer; what it said before is shown.
    pub problems: Vec<String>,
}

/// The colour of a state, always shown beside a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Bad,
    Warn,
    Busy,
    Good,
    Idle,
}

impl Tone {
    /// The CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Busy => "busy",
            Self::Good => "good",
            Self::Idle => "idle",
        }
    }
}

/// A word with its tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    pub tone: Tone,
    pub label: String,
    /// More about it, shown on demand.
    pub detail: String,
}

impl Badge {
    pub fn new(tone: Tone, label: &str) -> Self {
        Self { tone, label: label.to_owned(), detail: String::new() }
    }

    /// Whether its reason is worth a line of its own.
    pub fn explains(&self) -> bool {
        matches!(self.tone, Tone::Bad | Tone::Warn) && !self.detail.is_empty()
    }

    pub fn because(tone: Tone, label: &str, detail: impl Into<String>) -> Self {
        Self { tone, label: label.to_owned(), detail: detail.into() }
    }
}

/// A resource as a bar: parts of a whole in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub name: &'static str,
    pub used: String,
    pub offered: String,
    pub total: String,
    pub used_percent: u8,
    pub offered_percent: u8,
}

impl Bar {
    /// `show` formats an amount with its unit.
    pub fn new(
        name: &'static str,
        used: f64,
        offered: f64,
        total: f64,
        show: fn(f64) -> String,
    ) -> Self {
        let used_percent = format::percent(used, total);
        let offered_percent = format::percent(offered, total).min(100 - used_percent);
        Self {
            name,
            used: show(used),
            offered: show(offered),
            total: show(total),
            used_percent,
            offered_percent,
        }
    }

    pub fn all(
        used: &mesos::Resources,
        offered: &mesos::Resources,
        total: &mesos::Resources,
    ) -> Vec<Self> {
        let mut bars = vec![
            Self::new("CPU", used.cpus, offered.cpus, total.cpus, format::cpus),
            Self::new("Memory", used.mem, offered.mem, total.mem, format::mib),
            Self::new("Disk", used.disk, offered.disk, total.disk, format::mib),
        ];
        if total.gpus > 0.0 {
            bars.push(Self::new("GPU", used.gpus, offered.gpus, total.gpus, format::cpus));
        }
        bars
    }
}

#[cfg(test)]
pub mod fixture;
