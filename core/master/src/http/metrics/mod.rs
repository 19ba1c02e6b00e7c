//! The numbers of `/metrics/snapshot`, under the names that Mesos has for them.

mod frameworks;
mod machine;
mod roles;
mod timing;

use std::collections::BTreeMap;

use karman_api::mesos::v1::TaskState;
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;
use karman_rt::time::now_ms;

use super::Shared;
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

/// The calls of frameworks and the names that their counters have.
const CALLS: [(&str, &str); 16] = [
    ("SUBSCRIBE", "register_framework"),
    ("TEARDOWN", "unregister_framework"),
    ("ACCEPT", "launch_tasks"),
    ("DECLINE", "decline_offers"),
    ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers"),
    ("DECLINE_INVERSE_OFFERS", "decline_inverse_offers"),
    ("REVIVE", "revive_offers"),
    ("SUPPRESS", "suppress_offers"),
    ("KILL", "kill_task"),
    ("SHUTDOWN", "shutdown_executor"),
    ("ACKNOWLEDGE", "status_update_acknowledgement"),
    ("ACKNOWLEDGE_OPERATION_STATUS", "operation_status_update_acknowledgement"),
    ("RECONCILE", "reconcile_tasks"),
    ("RECONCILE_OPERATIONS", "reconcile_operations"),
    ("MESSAGE", "framework_to_executor"),
    ("REQUEST", "resource_request"),
];

pub(super) async fn snapshot(shared: &Shared) -> Metrics {
    let shared = shared.clone();
    // With many tasks and roles it takes a while.
    tokio::task::spawn_blocking(move || numbers(&shared)).await.unwrap_or_default()
}

fn numbers(shared: &Shared) -> Metrics {
    let view = shared.view();
    let mut all = Metrics::new();
    let started = view.identity.started.as_secs_f64();
    all.insert("master/elected".to_owned(), 1.0);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact in a double")]
    let now = now_ms() as f64 / 1000.0;
    all.insert("master/uptime_secs".to_owned(), (now - started).max(0.0));
    all.insert("master/operator_event_stream_subscribers".to_owned(), count(shared.hub.count()));
    all.insert("registrar/queued_operations".to_owned(), 0.0);
    // Requests that wait for the core.
    let waiting = count(shared.core.max_capacity() - shared.core.capacity());
    all.insert("master/event_queue_messages".to_owned(), waiting);
    all.insert("master/event_queue_dispatches".to_owned(), 0.0);
    all.insert("master/event_queue_http_requests".to_owned(), 0.0);
    resources(&view, &mut all);
    agents(&view, &mut all);
    frameworks::all(&view, &mut all);
    tasks(&view, &mut all);
    calls(&view, &mut all);
    roles::all(&view, &mut all);
    timing::all(&shared.timings, &mut all);
    machine::all(&mut all);
    all.insert("allocator/mesos/offer_filters/active".to_owned(), count(view.filters));
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
    put("slaves_active", with(Agent::is_registered));
    put("slaves_inactive", with(is_away));
    put("slaves_disconnected", with(is_away));
    put("slaves_unreachable", with(|agent| matches!(agent.presence, Presence::Unreachable { .. })));
    let counters = &view.counters;
    put("slave_registrations", total(counters.agent_registrations));
    put("slave_reregistrations", total(counters.agent_reregistrations));
    let unreachable = total(counters.agents_unreachable);
    put("slave_removals", unreachable);
    put("slave_removals/reason_unhealthy", unreachable);
    put("slave_removals/reason_registered", 0.0);
    put("slave_removals/reason_unregistered", 0.0);
    put("slave_unreachable_completed", unreachable);
    put("slave_unreachable_scheduled", unreachable);
    put("slave_unreachable_canceled", 0.0);
    put("slave_shutdowns_scheduled", 0.0);
    put("slave_shutdowns_canceled", 0.0);
    put("slave_shutdowns_completed", 0.0);
    put("recovery_slave_removals", 0.0);
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
    let unreachable: usize =
        view.frameworks.values().map(|framework| framework.unreachable.len()).sum();
    all.insert("master/tasks_unreachable".to_owned(), count(unreachable));
}

fn calls(view: &View, all: &mut Metrics) {
    let made = |call: &str| total(view.counters.calls.get(call).copied().unwrap_or_default());
    for (call, name) in CALLS {
        all.insert(format!("master/messages_{name}"), made(call));
    }
    let mut put = |name: &str, value: f64| all.insert(format!("master/{name}"), value);
    let updates = total(view.counters.status_updates);
    put("messages_status_update", updates);
    put("valid_status_updates", updates);
    put("invalid_status_updates", 0.0);
    put("valid_status_update_acknowledgements", made("ACKNOWLEDGE"));
    put("invalid_status_update_acknowledgements", 0.0);
    put("messages_register_slave", total(view.counters.agent_registrations));
    put("messages_reregister_slave", total(view.counters.agent_reregistrations));
}
