//! The machine that the master runs on.

use super::{Metrics, count};

pub(super) fn all(all: &mut Metrics) {
    if let Ok(cpus) = std::thread::available_parallelism() {
        all.insert("system/cpus_total".to_owned(), count(cpus.get()));
    }
    if let Ok(text) = std::fs::read_to_string("/proc/loadavg") {
        let loads = text.split_whitespace().map_while(|load| load.parse::<f64>().ok());
        for (name, load) in ["load_1min", "load_5min", "load_15min"].into_iter().zip(loads) {
            all.insert(format!("system/{name}"), load);
        }
    }
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        for (name, wanted) in [("mem_total_bytes", "MemTotal:"), ("mem_free_bytes", "MemFree:")] {
            let line = text.lines().find_map(|line| line.strip_prefix(wanted));
            let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<f64>().ok());
            if let Some(kib) = kib {
                all.insert(format!("system/{name}"), kib * 1024.0);
            }
        }
    }
}
