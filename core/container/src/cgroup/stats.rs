//! What a group uses now.

use super::{Group, field, number};

/// The first generation counts CPU time in ticks of this length.
const TICKS_PER_SECOND: u64 = 100;

/// Use of resources by one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub processes: u32,
    pub cpu_user_s: f64,
    pub cpu_system_s: f64,
    pub periods: u64,
    pub throttled: u64,
    pub throttled_s: f64,
    pub memory_bytes: u64,
    pub memory_rss_bytes: u64,
    pub memory_cache_bytes: u64,
    pub memory_mapped_bytes: u64,
    pub memory_limit_bytes: Option<u64>,
}

impl Stats {
    /// `None` once the group is gone.
    pub fn read(group: &Group) -> Option<Self> {
        if !group.memory.exists() {
            return None;
        }
        let mut stats = if group.unified { unified(group) } else { first(group) };
        stats.processes = u32::try_from(group.processes().len()).unwrap_or(u32::MAX);
        Some(stats)
    }
}

fn first(group: &Group) -> Stats {
    let cpu = |name| field(&group.cpuacct.join("cpuacct.stat"), name).unwrap_or(0);
    let throttle = |name| field(&group.cpu.join("cpu.stat"), name).unwrap_or(0);
    let memory = |name| field(&group.memory.join("memory.stat"), name).unwrap_or(0);
    Stats {
        processes: 0,
        cpu_user_s: seconds(cpu("user"), TICKS_PER_SECOND),
        cpu_system_s: seconds(cpu("system"), TICKS_PER_SECOND),
        periods: throttle("nr_periods"),
        throttled: throttle("nr_throttled"),
        throttled_s: seconds(throttle("throttled_time"), 1_000_000_000),
        memory_bytes: number(&group.memory.join("memory.usage_in_bytes")).unwrap_or(0),
        memory_rss_bytes: memory("total_rss"),
        memory_cache_bytes: memory("total_cache"),
        memory_mapped_bytes: memory("total_mapped_file"),
        memory_limit_bytes: number(&group.memory.join("memory.limit_in_bytes")),
    }
}

fn unified(group: &Group) -> Stats {
    let cpu = |name| field(&group.cpu.join("cpu.stat"), name).unwrap_or(0);
    let memory = |name| field(&group.memory.join("memory.stat"), name).unwrap_or(0);
    Stats {
        processes: 0,
        cpu_user_s: seconds(cpu("user_usec"), 1_000_000),
        cpu_system_s: seconds(cpu("system_usec"), 1_000_000),
        periods: cpu("nr_periods"),
        throttled: cpu("nr_throttled"),
        throttled_s: seconds(cpu("throttled_usec"), 1_000_000),
        memory_bytes: number(&group.memory.join("memory.current")).unwrap_or(0),
        memory_rss_bytes: memory("anon"),
        memory_cache_bytes: memory("file"),
        memory_mapped_bytes: memory("file_mapped"),
        memory_limit_bytes: number(&group.memory.join("memory.max")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "statistics; no sum depends on the last digits")]
fn seconds(count: u64, per_second: u64) -> f64 {
    count as f64 / per_second as f64
}
