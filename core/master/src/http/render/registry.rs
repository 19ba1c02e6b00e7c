//! What operators have decided: weights, quotas, maintenance.

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::Schedule;
use karman_api::mesos::v1::quota::{QuotaConfig, QuotaInfo, QuotaStatus};
use karman_model::resource::{Kind, Resource, Resources, Value};
use serde_json::{Map, json};

use crate::ledger::{Amounts, Quota, View};

/// Of the roles that do not have the weight 1.
pub(in crate::http) fn weights(view: &View) -> Vec<v1::WeightInfo> {
    let weight = |(role, weight): (&std::sync::Arc<str>, &f64)| v1::WeightInfo {
        weight: *weight,
        role: Some(role.to_string()),
    };
    view.registry.weights.iter().map(weight).collect()
}

pub(in crate::http) fn weight_of(view: &View, role: &str) -> f64 {
    view.registry.weights.get(role).copied().unwrap_or(1.0)
}

/// Both in today's form and in the one that only knows guarantees.
#[expect(deprecated, reason = "clients still read the older form")]
pub(in crate::http) fn quota(view: &View) -> QuotaStatus {
    let quotas = &view.registry.quotas;
    let config =
        |(role, quota): (&std::sync::Arc<str>, &Quota)| -> QuotaConfig { quota.to_wire(role) };
    let info = |(role, quota): (&std::sync::Arc<str>, &Quota)| QuotaInfo {
        role: Some(role.to_string()),
        principal: None,
        guarantee: amounts_to_wire(&quota.guarantees),
    };
    let guaranteed = quotas.iter().filter(|(_, quota)| !quota.guarantees.is_empty());
    QuotaStatus {
        infos: guaranteed.map(info).collect(),
        configs: quotas.iter().map(config).collect(),
    }
}

fn amounts_to_wire(amounts: &Amounts) -> Vec<v1::Resource> {
    let scalar = |(name, amount): (&String, &karman_model::quantity::Quantity)| Resource {
        kind: Kind::named(name.as_str()),
        value: Value::Scalar(*amount),
    };
    let resources: Resources = amounts.iter().map(scalar).collect();
    convert::resources_to_wire(&resources, Format::Refined)
}

/// `{"cpus": 4}`.
pub(in crate::http) fn short_amounts(amounts: &Amounts) -> serde_json::Value {
    let all: Map<_, _> =
        amounts.iter().map(|(name, amount)| (name.clone(), json!(amount.as_f64()))).collect();
    all.into()
}

pub(in crate::http) fn schedule(view: &View) -> Schedule {
    view.registry.maintenance.schedule.clone()
}
