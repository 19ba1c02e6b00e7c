//! `/metrics/snapshot`, and what containers use.

use axum::extract::{Query, State};
use axum::response::Response;
use karman_api::mesos::v1::{ResourceStatistics, TaskState};
use karman_model::resource::Resources;
use karman_rt::time::now_ms;
use serde_json::{Map, Value, json};

use super::{Shared, Wrapped, state};
use crate::cgroup::Stats;
use crate::core::seconds;
use crate::view::View;

/// Shown in `/metrics/snapshot` as `slave/tasks_<name>`.
const STATES: &[(&str, TaskState)] = &[
    ("staging", TaskState::TaskStaging),
    ("starting", TaskState::TaskStarting),
    ("running", TaskState::TaskRunning),
    ("killing", TaskState::TaskKilling),
    ("finished", TaskState::TaskFinished),
    ("failed", TaskState::TaskFailed),
    ("killed", TaskState::TaskKilled),
    ("lost", TaskState::TaskLost),
    ("gone", TaskState::TaskGone),
];

pub(super) async fn snapshot(
    State(shared): State<Shared>,
    Query(wrapped): Query<Wrapped>,
) -> Response {
    wrapped.json(&all(&shared))
}

pub(super) fn all(shared: &Shared) -> Map<String, Value> {
    let (settings, snapshot) = (&shared.settings, shared.snapshot());
    let mut all = Map::new();
    let mut put = |name: String, value: f64| all.insert(name, json!(value));
    put("slave/registered".into(), if snapshot.master.is_some() { 1.0 } else { 0.0 });
    put("slave/uptime_secs".into(), seconds(now_ms().saturating_sub(settings.started_ms)));
    let used = state::used(&snapshot);
    for name in ["cpus", "gpus", "mem", "disk"] {
        let (total, used) = (settings.resources.scalar(name).as_f64(), used.scalar(name).as_f64());
        put(format!("slave/{name}_total"), total);
        put(format!("slave/{name}_used"), used);
        put(format!("slave/{name}_percent"), if total > 0.0 { used / total } else { 0.0 });
    }
    let count = |state: TaskState| {
        let views = snapshot.containers.values().chain(&snapshot.completed);
        f64::from(
            u32::try_from(views.filter(|view| view.state() == state).count()).unwrap_or(u32::MAX),
        )
    };
    for (name, state) in STATES {
        put(format!("slave/tasks_{name}"), count(*state));
    }
    let is_own = |view: &View| view.state() == TaskState::TaskRunning && !view.record.is_hosted();
    let own = snapshot.containers.values().filter(|view| is_own(view)).count();
    let executors = u32::try_from(own + snapshot.executors.len()).unwrap_or(u32::MAX);
    put("slave/executors_running".into(), f64::from(executors));
    let frameworks = u32::try_from(snapshot.frameworks.len()).unwrap_or(u32::MAX);
    put("slave/frameworks_active".into(), f64::from(frameworks));
    let dropped = u32::try_from(snapshot.messages_dropped).unwrap_or(u32::MAX);
    put("slave/invalid_framework_messages".into(), f64::from(dropped));
    all
}

/// Use and limits of one container; without a control group only the limits.
pub(super) fn statistics(
    wanted: &Resources,
    stats: Option<Stats>,
    now_ms: u64,
) -> ResourceStatistics {
    let mut statistics = ResourceStatistics {
        timestamp: seconds(now_ms),
        cpus_limit: Some(wanted.scalar("cpus").as_f64()),
        mem_limit_bytes: Some(mib(wanted.scalar("mem").as_f64())),
        disk_limit_bytes: Some(mib(wanted.scalar("disk").as_f64())).filter(|bytes| *bytes > 0),
        ..ResourceStatistics::default()
    };
    if let Some(stats) = stats {
        statistics.processes = Some(stats.processes);
        statistics.cpus_user_time_secs = Some(stats.cpu_user_s);
        statistics.cpus_system_time_secs = Some(stats.cpu_system_s);
        statistics.cpus_nr_periods = u32::try_from(stats.periods).ok();
        statistics.cpus_nr_throttled = u32::try_from(stats.throttled).ok();
        statistics.cpus_throttled_time_secs = Some(stats.throttled_s);
        statistics.mem_total_bytes = Some(stats.memory_bytes);
        statistics.mem_rss_bytes = Some(stats.memory_rss_bytes);
        statistics.mem_anon_bytes = Some(stats.memory_rss_bytes);
        statistics.mem_cache_bytes = Some(stats.memory_cache_bytes);
        statistics.mem_file_bytes = Some(stats.memory_cache_bytes);
        statistics.mem_mapped_file_bytes = Some(stats.memory_mapped_bytes);
        statistics.mem_limit_bytes = stats.memory_limit_bytes.or(statistics.mem_limit_bytes);
    }
    statistics
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "non-negative, and saturates"
)]
fn mib(amount: f64) -> u64 {
    (amount.max(0.0) * 1_048_576.0) as u64
}
