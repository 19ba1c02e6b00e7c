//! What happened, as a number to compare and, where asked for, as text.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// The last lines of a run that failed are the interesting ones.
const LINES_MAX: usize = 4000;

pub(super) type Lines = Arc<Mutex<VecDeque<String>>>;

#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    /// Survives a panic of the run.
    lines: Option<Lines>,
}

impl Trace {
    pub(super) fn new(lines: Option<Lines>) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines }
    }

    /// Writes the line that `text` makes, if anybody will read it; `facts` are
    /// part of the number either way.
    pub(super) fn note(&mut self, now: u64, facts: &[u64], text: impl FnOnce() -> String) {
        for fact in std::iter::once(&now).chain(facts) {
            self.hash = (self.hash ^ fact).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        let Some(lines) = &self.lines else { return };
        let text = text();
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut line = String::new();
        let _ = write!(line, "{:>5}.{:03} {text}", now / 1000, now % 1000);
        let mut lines = lines.lock().unwrap();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }
}
