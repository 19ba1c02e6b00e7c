//! The numbers of `/metrics/snapshot`, under the names that Mesos has for them.

use std::collections::BTreeMap;

use karman_api::mesos::v1::TaskState;
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;
use karman_rt::time::now_ms;

use crate::ledger::{Presence, View};

/// The states that tasks are in while they are known.
const LIVE: [(&str, TaskState); 4] = [
    ("staging", TaskState::TaskStaging),
    ("starting", TaskState::TaskStarting),
    ("running", TaskState::TaskRunning),
    ("killing", TaskState::TaskKilling),
];

const ENDED: [(&str, TaskState); 7] = [
    ("finished", TaskState::TaskFinished),
    ("failed", TaskState::TaskFailed),
    ("killed", TaskState::TaskKilled),
    ("error", TaskState::TaskError),
    ("lost", TaskState::TaskLost),
    ("dropped", TaskState::TaskDropped),
    ("gone", TaskState::TaskGone),
];

pub(super) fn snapshot(view: &View) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let started = view.identity.started.as_secs_f64();
    all.insert("master/elected".to_owned(), 1.0);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact in a double")]
    let now = now_ms() as f64 / 1000.0;
    all.insert("master/uptime_secs".to_owned(), (now - started).max(0.0));
    resources(view, &mut all);
    agents(view, &mut all);
    frameworks(view, &mut all);
    tasks(view, &mut all);
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

fn resources(view: &View, all: &mut BTreeMap<String, f64>) {
    let registered = || view.agents.values().filter(|agent| agent.is_registered());
    for name in ["cpus", "mem", "disk", "gpus"] {
        let sum = |of: fn(&crate::ledger::Agent) -> &Resources| -> Quantity {
            registered().map(|agent| of(agent).scalar(name)).sum()
        };
        let (total, used) = (sum(|agent| &agent.total).as_f64(), sum(|agent| &agent.used).as_f64());
        let percent = if total > 0.0 { used / total } else { 0.0 };
        all.insert(format!("master/{name}_total"), total);
        all.insert(format!("master/{name}_used"), used);
        all.insert(format!("master/{name}_percent"), percent);
    }
}

fn agents(view: &View, all: &mut BTreeMap<String, f64>) {
    let with = |wanted: fn(Presence) -> bool| {
        count(view.agents.values().filter(|it| wanted(it.presence)).count())
    };
    let connected = with(|presence| matches!(presence, Presence::Registered));
    all.insert("master/slaves_connected".to_owned(), connected);
    all.insert("master/slaves_active".to_owned(), connected);
    all.insert("master/slaves_inactive".to_owned(), 0.0);
    all.insert(
        "master/slaves_disconnected".to_owned(),
        with(|presence| matches!(presence, Presence::Disconnected)),
    );
    let unreachable = with(|presence| matches!(presence, Presence::Unreachable { .. }));
    all.insert("master/slaves_unreachable".to_owned(), unreachable);
    all.insert("master/recovery_slave_removals".to_owned(), 0.0);
    let counters = &view.counters;
    all.insert("master/slave_registrations".to_owned(), total(counters.agent_registrations));
    all.insert("master/slave_reregistrations".to_owned(), total(counters.agent_reregistrations));
    all.insert("master/slave_removals".to_owned(), total(counters.agents_unreachable));
}

fn frameworks(view: &View, all: &mut BTreeMap<String, f64>) {
    let connected = view.frameworks.values().filter(|framework| framework.is_connected()).count();
    let offers: usize = view.frameworks.values().map(|framework| framework.offers.len()).sum();
    all.insert("master/frameworks_connected".to_owned(), count(connected));
    all.insert("master/frameworks_active".to_owned(), count(connected));
    all.insert(
        "master/frameworks_disconnected".to_owned(),
        count(view.frameworks.len() - connected),
    );
    all.insert("master/frameworks_inactive".to_owned(), 0.0);
    all.insert("master/outstanding_offers".to_owned(), count(offers));
    all.insert("master/offers_sent".to_owned(), total(view.counters.offers_sent));
    all.insert("master/offers_rescinded".to_owned(), total(view.counters.offers_rescinded));
    for (call, made) in &view.counters.calls {
        all.insert(format!("master/messages_{}", call.to_lowercase()), total(*made));
    }
    all.insert("master/messages_status_update".to_owned(), total(view.counters.status_updates));
    all.insert("master/valid_status_updates".to_owned(), total(view.counters.status_updates));
}

fn tasks(view: &View, all: &mut BTreeMap<String, f64>) {
    let tasks = || view.frameworks.values().flat_map(|framework| framework.tasks.values());
    let mut states = BTreeMap::<i32, usize>::new();
    for task in tasks() {
        *states.entry(task.state.into()).or_default() += 1;
    }
    for (name, state) in LIVE {
        all.insert(
            format!("master/tasks_{name}"),
            count(states.get(&state.into()).copied().unwrap_or_default()),
        );
    }
    for (name, state) in ENDED {
        let ended = view.counters.tasks.get(state.as_str_name()).copied().unwrap_or_default();
        all.insert(format!("master/tasks_{name}"), total(ended));
    }
    let unreachable: usize =
        view.frameworks.values().map(|framework| framework.unreachable.len()).sum();
    all.insert("master/tasks_unreachable".to_owned(), count(unreachable));
}
