//! How long the allocator and the store took lately.

use super::{Metrics, count, total};
use crate::core::{Samples, Timings};

/// The ranks that are told, in ten-thousandths.
const RANKS: [(&str, usize); 6] =
    [("p50", 5000), ("p90", 9000), ("p95", 9500), ("p99", 9900), ("p999", 9990), ("p9999", 9999)];

pub(super) fn all(timings: &Timings, all: &mut Metrics) {
    let allocation = timings.allocation();
    all.insert("allocator/mesos/allocation_runs".to_owned(), total(allocation.runs));
    // It runs within the core: nothing can wait for it.
    all.insert("allocator/mesos/event_queue_dispatches".to_owned(), 0.0);
    spread("allocator/mesos/allocation_run_ms", &allocation, all);
    spread("registrar/state_store_ms", &timings.commit(), all);
    spread("registrar/state_fetch_ms", &timings.fetch(), all);
}

fn spread(name: &str, samples: &Samples, all: &mut Metrics) {
    let Some(last) = samples.last.back() else { return };
    all.insert(name.to_owned(), *last);
    let mut sorted: Vec<f64> = samples.last.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    all.insert(format!("{name}/count"), count(sorted.len()));
    let mut put = |what: &str, value: Option<&f64>| {
        if let Some(value) = value {
            all.insert(format!("{name}/{what}"), *value);
        }
    };
    put("min", sorted.first());
    put("max", sorted.last());
    for (what, rank) in RANKS {
        let at = (sorted.len() * rank).div_ceil(10_000).saturating_sub(1);
        put(what, sorted.get(at));
    }
}
