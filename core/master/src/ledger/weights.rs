//! Weights: the share of a role relative to its siblings.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_model::role;

use super::{Effect, Key, Ledger, Refusal};
use crate::validate::{self, INFO_BYTES_MAX};

/// Of roles that nobody gave one.
pub(super) const DEFAULT: f64 = 1.0;
/// Weights further apart than this make shares that no double can tell apart
/// from nothing.
const WEIGHT_MIN: f64 = 1e-6;
const WEIGHT_MAX: f64 = 1e9;

impl Ledger {
    /// All or none of them are set.
    pub(super) fn update_weights(&mut self, weights: Vec<v1::WeightInfo>) -> Result<(), Refusal> {
        let mut all = (*self.registry.weights).clone();
        let changed = read(weights)?;
        all.extend(changed.clone());
        // All of them are one stored object.
        if !validate::is_storable(&to_wire(&all)) {
            let problem = format!("all weights must not be larger than {INFO_BYTES_MAX} bytes");
            return Err(Refusal::Invalid(format!("Invalid WeightInfo: {problem}")));
        }
        self.registry.weights = Arc::new(all);
        for (role, weight) in &changed {
            self.allocator.set_weight(role, Some(*weight));
        }
        self.effect(Effect::Save(Key::Weights));
        Ok(())
    }

    /// As they are stored and shown.
    pub fn stored_weights(&self) -> Vec<v1::WeightInfo> {
        to_wire(&self.registry.weights)
    }

    pub(super) fn restore_weights(&mut self, weights: Vec<v1::WeightInfo>) {
        let known = weights.into_iter().filter_map(|it| Some((it.role?.into(), it.weight)));
        self.registry.weights = Arc::new(known.collect());
        for (role, weight) in &*self.registry.weights {
            self.allocator.set_weight(role, Some(*weight));
        }
    }
}

fn to_wire(weights: &BTreeMap<Role, f64>) -> Vec<v1::WeightInfo> {
    let info = |(role, weight): (&Role, &f64)| v1::WeightInfo {
        weight: *weight,
        role: Some(role.to_string()),
    };
    weights.iter().map(info).collect()
}

fn read(weights: Vec<v1::WeightInfo>) -> Result<BTreeMap<Role, f64>, Refusal> {
    let invalid = |message| Refusal::Invalid(format!("Invalid WeightInfo: {message}"));
    let mut read = BTreeMap::new();
    for v1::WeightInfo { weight, role } in weights {
        let role = role.unwrap_or_default();
        role::check(&role).map_err(|e| invalid(e.to_string()))?;
        if !(WEIGHT_MIN..=WEIGHT_MAX).contains(&weight) {
            return Err(invalid(format!(
                "weight {weight} of role '{role}' must be a positive number between {WEIGHT_MIN} and {WEIGHT_MAX}"
            )));
        }
        if read.insert(role.as_str().into(), weight).is_some() {
            return Err(invalid(format!("role '{role}' is named twice")));
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(role: Option<&str>, weight: f64) -> v1::WeightInfo {
        v1::WeightInfo { weight, role: role.map(str::to_owned) }
    }

    #[test]
    fn weights_are_positive_finite_numbers_of_roles() {
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            let refusal = read(vec![info(Some("a"), weight)]).unwrap_err().to_string();
            assert!(refusal.contains("role 'a' must be a positive number"), "{refusal}");
        }
        for role in [None, Some(""), Some("a//b"), Some("-a"), Some("a b")] {
            assert!(matches!(read(vec![info(role, 2.0)]), Err(Refusal::Invalid(_))), "{role:?}");
        }
        let twice = read(vec![info(Some("a"), 2.0), info(Some("a"), 3.0)]).unwrap_err();
        assert_eq!(twice.to_string(), "Invalid WeightInfo: role 'a' is named twice");
        let good = read(vec![info(Some("a/b/c"), 0.5), info(Some("*"), 2.0)]).unwrap();
        assert_eq!(good.len(), 2);
    }
}
