//! Counters and gauges of one process, by name, for `/metrics` endpoints.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// All metrics of a process or of a role.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    metrics: Arc<Mutex<BTreeMap<&'static str, Metric>>>,
}

#[derive(Clone, Debug)]
struct Metric {
    help: &'static str,
    kind: &'static str,
    value: Arc<AtomicU64>,
}

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down, kept as the bits of an `f64`.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of that name; the same one for every caller.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        Counter(self.metric(name, help, "counter"))
    }

    /// The gauge of that name; the same one for every caller.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        Gauge(self.metric(name, help, "gauge"))
    }

    fn metric(&self, name: &'static str, help: &'static str, kind: &'static str) -> Arc<AtomicU64> {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            &metrics
                .entry(name)
                .or_insert_with(|| Metric { help, kind, value: Arc::default() })
                .value,
        )
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for (name, Metric { help, kind, value }) in metrics.iter() {
            let value = value.load(Ordering::Relaxed);
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            let _ = match *kind {
                "gauge" => writeln!(out, "{name} {}", f64::from_bits(value)),
                _ => writeln!(out, "{name} {value}"),
            };
        }
        out
    }
}

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
