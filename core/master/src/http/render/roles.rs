//! `/roles`: who shares what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_model::resource::Resources;
use karman_model::role;
use serde_json::{Value, json};

use super::resources::short;
use crate::ledger::View;

/// What a role has.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Account {
    pub(in crate::http) frameworks: BTreeSet<String>,
    pub(in crate::http) allocated: Resources,
    pub(in crate::http) offered: Resources,
    pub(in crate::http) reserved: Resources,
}

pub(in crate::http) fn accounts(view: &View) -> BTreeMap<Arc<str>, Account> {
    let mut all: BTreeMap<Arc<str>, Account> =
        BTreeMap::from([(role::ANY.into(), Account::default())]);
    for framework in view.frameworks.values() {
        for role in &framework.roles {
            all.entry(Arc::clone(role)).or_default().frameworks.insert(framework.id.to_string());
        }
        for task in framework.tasks.values().filter(|task| !task.is_terminal()) {
            all.entry(Arc::clone(&task.role)).or_default().allocated += &task.resources;
        }
        for offer in framework.offers.values() {
            all.entry(Arc::clone(&offer.role)).or_default().offered += &offer.resources;
        }
    }
    for agent in view.agents.values() {
        for role in agent.total.reserved_roles() {
            all.entry(role.into()).or_default().reserved += &agent.total.reserved_to(role);
        }
    }
    all
}

pub(in crate::http) fn roles(view: &View) -> Value {
    let role = |(name, account): (Arc<str>, Account)| {
        let Account { frameworks, allocated, offered, reserved } = account;
        json!({
            "name": &*name,
            "weight": 1.0,
            "quota": { "role": &*name, "guarantee": {}, "limit": {}, "consumed": short(&(&allocated + &reserved)) },
            "resources": short(&(&allocated + &offered)),
            "allocated": short(&allocated),
            "offered": short(&offered),
            "reserved": short(&reserved),
            "frameworks": frameworks,
        })
    };
    json!({ "roles": accounts(view).into_iter().map(role).collect::<Vec<_>>() })
}
