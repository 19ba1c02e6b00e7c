//! Frameworks, all together and each.

use karman_api::mesos::v1::TaskState;

use super::{ENDED, LIVE, Metrics, count, total};
use crate::ledger::{Framework, View};

/// Frameworks with numbers of their own; with more, only sums are told.
const EACH_MAX: usize = 1000;

pub(super) fn all(view: &View, all: &mut Metrics) {
    let connected = view.frameworks.values().filter(|framework| framework.is_connected()).count();
    let offers: usize = view.frameworks.values().map(|framework| framework.offers.len()).sum();
    let away = view.frameworks.len() - connected;
    all.insert("master/frameworks_connected".to_owned(), count(connected));
    all.insert("master/frameworks_active".to_owned(), count(connected));
    all.insert("master/frameworks_disconnected".to_owned(), count(away));
    all.insert("master/frameworks_inactive".to_owned(), count(away));
    all.insert("master/outstanding_offers".to_owned(), count(offers));
    all.insert("master/offers_sent".to_owned(), total(view.counters.offers_sent));
    all.insert("master/offers_rescinded".to_owned(), total(view.counters.offers_rescinded));
    for framework in view.frameworks.values().take(EACH_MAX) {
        each(framework, all);
    }
}

fn each(framework: &Framework, all: &mut Metrics) {
    let name: String =
        url::form_urlencoded::byte_serialize(framework.info.name.as_bytes()).collect();
    let prefix = format!("master/frameworks/{name}.{}", framework.id);
    let mut put = |name: &str, value: f64| all.insert(format!("{prefix}/{name}"), value);
    put("subscribed", f64::from(u8::from(framework.is_connected())));
    put("offers/outstanding", count(framework.offers.len()));
    let of = |state: TaskState| framework.tasks.states().count(state);
    for (name, state) in LIVE {
        put(&format!("tasks/active/task_{name}"), count(of(state)));
    }
    put("tasks/active/task_unreachable", count(framework.unreachable.len()));
    // Those that are remembered.
    for (name, state) in ENDED {
        let ended = framework.completed.iter().filter(|task| task.state == state).count();
        put(&format!("tasks/terminal/task_{name}"), count(ended + of(state)));
    }
}
