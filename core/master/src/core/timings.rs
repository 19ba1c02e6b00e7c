//! How long the core's steps took lately, for metrics.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The runs that are remembered.
const SAMPLES_MAX: usize = 1000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Timings(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    allocation: Mutex<Samples>,
    commit: Mutex<Samples>,
    fetch: Mutex<Samples>,
    /// Changes that are being stored.
    storing: AtomicUsize,
}

/// The last durations of one step, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// Since the start.
    pub(crate) runs: u64,
    pub(crate) last: VecDeque<f64>,
}

impl Samples {
    fn add(&mut self, took: Duration) {
        self.runs += 1;
        if self.last.len() >= SAMPLES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(took.as_secs_f64() * 1000.0);
    }
}

impl Timings {
    pub(super) fn allocated(&self, took: Duration) {
        self.0.allocation.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }

    pub(super) fn committed(&self, took: Duration) {
        self.0.commit.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }

    /// What was stored was read.
    pub(crate) fn fetched(&self, took: Duration) {
        self.0.fetch.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }

    pub(super) fn storing(&self, changes: usize) {
        self.0.storing.store(changes, Ordering::Relaxed);
    }

    /// Changes that the store has not confirmed.
    pub(crate) fn queued(&self) -> usize {
        self.0.storing.load(Ordering::Relaxed)
    }

    pub(crate) fn fetch(&self) -> Samples {
        self.0.fetch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn allocation(&self) -> Samples {
        self.0.allocation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn commit(&self) -> Samples {
        self.0.commit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
