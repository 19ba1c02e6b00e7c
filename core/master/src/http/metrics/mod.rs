//! The numbers of `/metrics/snapshot`, under the names that Mesos has for them.

mod frameworks;
mod machine;
mod roles;
mod timing;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use karman_allocator::Role;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::{Reason, Source};
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;
use karman_rt::time::now_ms;
use tokio::sync::oneshot;

use super::Shared;
use crate::core::{Question, Request};
use crate::ledger::{Agent, Presence, View};

/// By name.
pub(super) type Metrics = BTreeMap<String, f64>;

/// The states that tasks are in while they are known.
const LIVE: [(&str, TaskState); 4] = [
    ("staging", TaskState::TaskStaging),
    ("starting", TaskState::TaskStarting),
    ("running", TaskState::TaskRunning),
    ("killing", TaskState::TaskKilling),
];

const ENDED: [(&str, TaskState); 8] = [
    ("finished", TaskState::TaskFinished),
    ("failed", TaskState::TaskFailed),
    ("killed", TaskState::TaskKilled),
    ("error", TaskState::TaskError),
    ("lost", TaskState::TaskLost),
    ("dropped", TaskState::TaskDropped),
    ("gone", TaskState::TaskGone),
    ("gone_by_operator", TaskState::TaskGoneByOperator),
];

/// What the ledger counts by the name of the metric.
const NOTED: [&str; 14] = [
    "messages_status_update",
    "valid_status_updates",
    "invalid_status_updates",
    "messages_status_update_acknowledgement",
    "valid_status_update_acknowledgements",
    "invalid_status_update_acknowledgements",
    "messages_exited_executor",
    "messages_executor_to_framework",
    "valid_executor_to_framework_messages",
    "invalid_executor_to_framework_messages",
    "valid_framework_to_executor_messages",
    "invalid_framework_to_executor_messages",
    "messages_register_framework",
    "messages_reregister_framework",
];

/// Messages of Mesos' own wire between its processes, which there are none of
/// here; their names are documented, and dashboards ask for them.
const ABSENT: [&str; 4] = [
    "messages_authenticate",
    "messages_deactivate_framework",
    "messages_unregister_slave",
    "messages_update_slave",
];

/// The calls of frameworks and the names that their counters have.
const CALLS: [(&str, &str); 14] = [
    ("TEARDOWN", "unregister_framework"),
    ("ACCEPT", "launch_tasks"),
    ("DECLINE", "decline_offers"),
    ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers"),
    ("DECLINE_INVERSE_OFFERS", "decline_inverse_offers"),
    ("REVIVE", "revive_offers"),
    ("SUPPRESS", "suppress_offers"),
    ("KILL", "kill_task"),
    ("SHUTDOWN", "shutdown_executor"),
    ("ACKNOWLEDGE_OPERATION_STATUS", "operation_status_update_acknowledgement"),
    ("RECONCILE", "reconcile_tasks"),
    ("RECONCILE_OPERATIONS", "reconcile_operations"),
    ("MESSAGE", "framework_to_executor"),
    ("REQUEST", "resource_request"),
];

pub(super) async fn snapshot(shared: &Shared) -> Metrics {
    let shared = shared.clone();
    let leads = *shared.leading.borrow();
    let filters = if leads { filters(&shared).await } else { BTreeMap::new() };
    // With many tasks and roles it takes a while.
    let numbers = tokio::task::spawn_blocking(move || numbers(&shared, leads, filters));
    numbers.await.unwrap_or_default()
}

async fn filters(shared: &Shared) -> BTreeMap<Role, usize> {
    let (reply, answered) = oneshot::channel();
    let question = Request::Question(Question::Filters { reply });
    if shared.core.send(question).await.is_err() {
        return BTreeMap::new();
    }
    answered.await.unwrap_or_default()
}

/// The numbers in the text format of Prometheus, but for those of single
/// frameworks and roles: there are too many, and they come and go.
pub(super) fn prometheus(metrics: &Metrics) -> String {
    let mut text = String::new();
    let is_plain =
        |name: &str| !name.starts_with("master/frameworks/") && !name.contains("/roles/");
    for (name, value) in metrics.iter().filter(|(name, _)| is_plain(name)) {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let _infallible = writeln!(text, "# TYPE karman_{name} untyped\nkarman_{name} {value}");
    }
    text
}

fn numbers(shared: &Shared, leads: bool, filters: BTreeMap<Role, usize>) -> Metrics {
    let view = shared.view();
    let mut all = Metrics::new();
    let started = view.identity.started.as_secs_f64();
    all.insert("master/elected".to_owned(), f64::from(u8::from(leads)));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact in a double")]
    let now = now_ms() as f64 / 1000.0;
    all.insert("master/uptime_secs".to_owned(), (now - started).max(0.0));
    all.insert("master/operator_event_stream_subscribers".to_owned(), count(shared.hub.count()));
    all.insert("registrar/queued_operations".to_owned(), count(shared.timings.queued()));
    // Calls and messages that wait for the core, and reads for their turn. There
    // is no third queue.
    let waiting = count(shared.core.max_capacity() - shared.core.capacity());
    all.insert("master/event_queue_messages".to_owned(), waiting);
    all.insert("master/event_queue_dispatches".to_owned(), 0.0);
    let reads = count(shared.renders.answers.waiting());
    all.insert("master/event_queue_http_requests".to_owned(), reads);
    resources(&view, &mut all);
    agents(&view, &mut all);
    frameworks::all(&view, &mut all);
    tasks(&view, &mut all);
    calls(&view, &mut all);
    roles::all(&view, &mut all);
    timing::all(&shared.timings, &mut all);
    machine::all(&mut all);
    all.insert("allocator/mesos/offer_filters/active".to_owned(), count(view.filters));
    for (role, declined) in filters {
        let name = format!("allocator/mesos/offer_filters/roles/{role}/active");
        all.insert(name, count(declined));
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn total(n: u64) -> f64 {
    n as f64
}

fn resources(view: &View, all: &mut Metrics) {
    let registered = || view.agents.values().filter(|agent| agent.is_registered());
    for name in ["cpus", "mem", "disk", "gpus"] {
        let sum = |of: fn(&Agent) -> &Resources| -> Quantity {
            registered().map(|agent| of(agent).scalar(name)).sum()
        };
        let revocable = |of: fn(&Agent) -> &Resources| -> Quantity {
            registered().map(|agent| of(agent).filter(|kind| kind.revocable).scalar(name)).sum()
        };
        // Without what may be taken away again, which is counted apart.
        let (lent, lent_used) =
            (revocable(|agent| &agent.total).as_f64(), revocable(|agent| &agent.used).as_f64());
        let total = sum(|agent| &agent.total).as_f64() - lent;
        let used = sum(|agent| &agent.used).as_f64() - lent_used;
        let percent = |used: f64, total: f64| if total > 0.0 { used / total } else { 0.0 };
        all.insert(format!("master/{name}_total"), total);
        all.insert(format!("master/{name}_used"), used);
        all.insert(format!("master/{name}_percent"), percent(used, total));
        all.insert(format!("master/{name}_revocable_total"), lent);
        all.insert(format!("master/{name}_revocable_used"), lent_used);
        all.insert(format!("master/{name}_revocable_percent"), percent(lent_used, lent));
        all.insert(format!("allocator/mesos/resources/{name}/total"), total + lent);
        let offered = sum(|agent| &agent.offered).as_f64();
        all.insert(
            format!("allocator/mesos/resources/{name}/offered_or_allocated"),
            used + lent_used + offered,
        );
    }
}

fn agents(view: &View, all: &mut Metrics) {
    let with = |wanted: fn(&Agent) -> bool| {
        count(view.agents.values().filter(|agent| wanted(agent)).count())
    };
    let mut put = |name: &str, value: f64| all.insert(format!("master/{name}"), value);
    let is_away = |agent: &Agent| matches!(agent.presence, Presence::Disconnected);
    put("slaves_connected", with(Agent::is_registered));
    put("slaves_active", with(Agent::is_active));
    put(
        "slaves_inactive",
        with(|agent| agent.is_registered() && !agent.is_active()) + with(is_away),
    );
    put("slaves_disconnected", with(is_away));
    put("slaves_unreachable", with(|agent| matches!(agent.presence, Presence::Unreachable { .. })));
    let counters = &view.counters;
    put("slave_registrations", total(counters.agent_registrations));
    put("slave_reregistrations", total(counters.agent_reregistrations));
    let unreachable = total(counters.agents_unreachable);
    let noted = |name: &str| total(counters.noted.get(name).copied().unwrap_or_default());
    let by_operator = noted("slave_removals/by_operator");
    put("slave_removals", unreachable + by_operator);
    put("slave_removals/reason_unhealthy", unreachable);
    // Agents neither take the place of each other nor sign off: those that end
    // for good are marked as gone by an operator.
    put("slave_removals/reason_registered", 0.0);
    put("slave_removals/reason_unregistered", by_operator);
    for kind in ["unreachable", "shutdowns"] {
        put(&format!("slave_{kind}_completed"), unreachable);
        put(&format!("slave_{kind}_scheduled"), noted("slave_unreachable_scheduled"));
        put(&format!("slave_{kind}_canceled"), noted("slave_unreachable_canceled"));
    }
    put("recovery_slave_removals", noted("recovery_slave_removals"));
}

fn tasks(view: &View, all: &mut Metrics) {
    for (name, state) in LIVE {
        let n = view.frameworks.values().map(|it| it.tasks.states().count(state)).sum();
        all.insert(format!("master/tasks_{name}"), count(n));
    }
    for (name, state) in ENDED {
        let ended = view.counters.tasks.get(state.as_str_name()).copied().unwrap_or_default();
        all.insert(format!("master/tasks_{name}"), total(ended));
    }
    causes(view, all);
    let unreachable: usize =
        view.frameworks.values().map(|framework| framework.unreachable.len()).sum();
    all.insert("master/tasks_unreachable".to_owned(), count(unreachable));
}

/// Messages that led to nothing.
fn dropped(view: &View) -> f64 {
    let noted = &view.counters.noted;
    total(NOTED.iter().filter(|it| it.starts_with("invalid_")).filter_map(|it| noted.get(it)).sum())
}

/// Why tasks are over, by the names that Mesos has for states, sources and
/// reasons: agents are slaves there.
fn causes(view: &View, all: &mut Metrics) {
    let known = [("task_lost", "source_master", "reason_invalid_offers")];
    for (state, source, reason) in known {
        all.insert(format!("master/{state}/{source}/{reason}"), 0.0);
    }
    for ((state, source, reason), n) in &view.counters.causes {
        let (Ok(state), Ok(source)) = (TaskState::try_from(*state), Source::try_from(*source))
        else {
            continue;
        };
        let reason = Reason::try_from(*reason).unwrap_or_default();
        let name = [state.as_str_name(), source.as_str_name(), reason.as_str_name()]
            .join("/")
            .to_lowercase()
            .replace("agent", "slave");
        all.insert(format!("master/{name}"), total(*n));
    }
}

fn calls(view: &View, all: &mut Metrics) {
    let made = |call: &str| total(view.counters.calls.get(call).copied().unwrap_or_default());
    for (call, name) in CALLS {
        all.insert(format!("master/messages_{name}"), made(call));
    }
    let mut put = |name: &str, value: f64| all.insert(format!("master/{name}"), value);
    for name in NOTED {
        put(name, total(view.counters.noted.get(name).copied().unwrap_or_default()));
    }
    put("messages_register_slave", total(view.counters.agent_registrations));
    put("messages_reregister_slave", total(view.counters.agent_reregistrations));
    put("dropped_messages", dropped(view));
    for name in ABSENT {
        put(name, 0.0);
    }
}
