//! `/roles`: who shares what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_model::resource::{Resources, Value as Amount};
use karman_model::role;
use serde_json::{Value, json};

use super::registry::{short_amounts, weight_of};
use super::resources::short;
use crate::ledger::{Amounts, Framework, Presence, Quota, View};

/// What a role has.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Account {
    pub(in crate::http) frameworks: BTreeSet<String>,
    pub(in crate::http) allocated: Resources,
    pub(in crate::http) offered: Resources,
    pub(in crate::http) reserved: Resources,
    /// Counts against the quota: what is reserved, used or not, and what is used
    /// of the rest, by the role and those below it.
    pub(in crate::http) consumed: Amounts,
}

/// Roles that a framework is in, that have something, or that an operator has
/// given a weight or a quota.
pub(in crate::http) fn accounts(view: &View) -> BTreeMap<Arc<str>, Account> {
    let mut all: BTreeMap<Arc<str>, Account> =
        BTreeMap::from([(role::ANY.into(), Account::default())]);
    let mut consumed = BTreeMap::new();
    for framework in view.frameworks.values() {
        for role in &framework.roles {
            all.entry(Arc::clone(role)).or_default().frameworks.insert(framework.id.to_string());
        }
        for (role, used) in used_by_role(framework) {
            consume(&mut consumed, &role, &used.unreserved());
            all.entry(role).or_default().allocated += &used;
        }
        for offer in framework.offers.values() {
            all.entry(Arc::clone(&offer.role)).or_default().offered += &offer.resources;
        }
    }
    for agent in view.agents.values() {
        for executor in agent.executors.values() {
            consume(&mut consumed, &executor.role, &executor.resources.unreserved());
            let account = all.entry(Arc::clone(&executor.role)).or_default();
            account.allocated += &executor.resources;
        }
        // Nobody has what nobody can reach.
        if matches!(agent.presence, Presence::Unreachable { .. }) {
            continue;
        }
        for role in agent.total.reserved_roles() {
            let reserved = agent.total.reserved_to(role);
            consume(&mut consumed, role, &reserved);
            all.entry(role.into()).or_default().reserved += &reserved;
        }
    }
    let registry = &view.registry;
    for role in registry.weights.keys().chain(registry.quotas.keys()) {
        all.entry(Arc::clone(role)).or_default();
    }
    for (role, amounts) in consumed {
        if let Some(account) = all.get_mut(role.as_str()) {
            account.consumed = amounts;
        }
    }
    all
}

/// One role has all there is; several must be looked for task by task.
fn used_by_role(framework: &Framework) -> BTreeMap<Arc<str>, Resources> {
    let live = || framework.tasks.values().filter(|task| !task.is_terminal());
    let mut used = BTreeMap::<Arc<str>, Resources>::new();
    match (framework.roles.first(), framework.roles.len()) {
        // A framework can have left the role of old tasks.
        (Some(role), 1) if live().all(|task| task.role == *role) => {
            used.insert(Arc::clone(role), framework.tasks.used());
        }
        _ => {
            for task in live() {
                *used.entry(Arc::clone(&task.role)).or_default() += &task.resources;
            }
        }
    }
    used
}

/// On the account of the role and of all above it.
fn consume(consumed: &mut BTreeMap<String, Amounts>, role: &str, resources: &Resources) {
    let ends = role.match_indices('/').map(|(at, _)| at).chain([role.len()]);
    for name in ends.filter_map(|end| role.get(..end)) {
        let amounts = consumed.entry(name.to_owned()).or_default();
        // What can be taken back counts for nobody.
        for resource in resources.iter().filter(|resource| !resource.kind.revocable) {
            if let Amount::Scalar(amount) = resource.value {
                *amounts.entry(resource.kind.name.to_string()).or_default() += amount;
            }
        }
    }
}

pub(in crate::http) fn roles(view: &View) -> Value {
    let none = Quota::default();
    let role = |(name, account): (Arc<str>, Account)| {
        let quota = view.registry.quotas.get(&name).unwrap_or(&none);
        json!({
            "name": &*name,
            "weight": weight_of(view, &name),
            "quota": {
                "role": &*name,
                "guarantee": short_amounts(&quota.guarantees),
                "limit": short_amounts(&quota.limits),
                "consumed": short_amounts(&account.consumed),
            },
            "resources": short(&(&account.allocated + &account.offered)),
            "allocated": short(&account.allocated),
            "offered": short(&account.offered),
            "reserved": short(&account.reserved),
            "frameworks": account.frameworks,
        })
    };
    json!({ "roles": accounts(view).into_iter().map(role).collect::<Vec<_>>() })
}
