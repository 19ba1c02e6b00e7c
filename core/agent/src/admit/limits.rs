//! Resources of a task as limits of its control group. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::TaskInfo;
use karman_model::resource::Resources;

use crate::cgroup::Limits;

/// As the original: 1024 shares are one cpu.
const SHARES_PER_CPU: f64 = 1024.0;
const SHARES_MIN: f64 = 2.0;

/// CPU time per period of 100 ms, and the least that the kernel takes.
const QUOTA_US_PER_CPU: f64 = 100_000.0;
const QUOTA_US_MIN: f64 = 1_000.0;

/// Less than this starts no process.
const MEMORY_MIB_MIN: f64 = 32.0;

/// Requests make the shares; limits, where given, the hard bounds.
pub(crate) fn limits(task: &TaskInfo, wanted: &Resources) -> Limits {
    let request = |name: &str| Some(wanted.scalar(name).as_f64()).filter(|amount| *amount > 0.0);
    let limit = |name: &str| task.limits.get(name).map_or(request(name), |limit| Some(limit.value));
    let cpus = request("cpus").unwrap_or(0.0);
    let bytes = |mib: f64| whole(mib.max(MEMORY_MIB_MIN) * 1_048_576.0);
    Limits {
        cpu_shares: whole((cpus * SHARES_PER_CPU).max(SHARES_MIN)),
        cpu_quota_us: finite(limit("cpus"))
            .map(|cpus| whole((cpus * QUOTA_US_PER_CPU).max(QUOTA_US_MIN))),
        memory_bytes: finite(limit("mem")).map(bytes),
        memory_soft_bytes: request("mem").map(bytes),
        ..Limits::default()
    }
}

fn finite(amount: Option<f64>) -> Option<f64> {
    amount.filter(|amount| amount.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "non-negative, and saturates"
)]
fn whole(amount: f64) -> u64 {
    amount.max(0.0) as u64
}
