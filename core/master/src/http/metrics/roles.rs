//! Roles as the allocator sees them.

use super::super::render::registry::weight_of;
use super::super::render::roles::accounts;
use super::{Metrics, count};
use crate::ledger::View;

/// Roles with numbers of their own.
const EACH_MAX: usize = 1000;

pub(super) fn all(view: &View, all: &mut Metrics) {
    let accounts = accounts(view);
    let registered = || view.agents.values().filter(|agent| agent.is_registered());
    let names = ["cpus", "mem", "disk", "gpus"];
    let totals = names.map(|name| {
        let total: karman_model::quantity::Quantity =
            registered().map(|agent| agent.total.scalar(name)).sum();
        (name, total.as_f64())
    });
    all.insert("allocator/mesos/roles".to_owned(), count(accounts.len()));
    for (role, account) in accounts.iter().take(EACH_MAX) {
        let held = &account.allocated + &account.offered;
        let share = totals
            .iter()
            .filter(|(_, total)| *total > 0.0)
            .map(|(name, total)| held.scalar(name).as_f64() / total)
            .fold(0.0, f64::max);
        let prefix = format!("allocator/mesos/roles/{role}");
        all.insert(format!("{prefix}/shares/dominant"), share);
        all.insert(format!("{prefix}/weight"), weight_of(view, role));
        let Some(quota) = view.registry.quotas.get(role) else { continue };
        let prefix = format!("allocator/mesos/quota/roles/{role}/resources");
        for (name, amount) in &quota.guarantees {
            all.insert(format!("{prefix}/{name}/guarantee"), amount.as_f64());
        }
        for (name, amount) in &quota.limits {
            all.insert(format!("{prefix}/{name}/limit"), amount.as_f64());
        }
        for name in names {
            let held = held.scalar(name).as_f64();
            all.insert(format!("{prefix}/{name}/offered_or_allocated"), held);
        }
    }
}
