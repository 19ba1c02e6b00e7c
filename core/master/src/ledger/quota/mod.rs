//! Quota: what a role is guaranteed and what it may have at most, together with
//! all roles below it.
#![deny(clippy::disallowed_methods)]

mod read;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_allocator::{Quantities, Role};
use karman_api::mesos::v1;
use karman_api::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use karman_model::id::OfferId;
use karman_model::quantity::Quantity;
use karman_model::resource::{Resources, Value};
use karman_model::role;

use super::{Effect, Key, Ledger, Refusal};
use crate::validate::{self, INFO_BYTES_MAX};

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Quantity>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Held back from others until the role has it.
    pub guarantees: Amounts,
    /// The role gets no more; what is not named is not limited.
    pub limits: Amounts,
}

impl Quota {
    /// The same as having none.
    pub fn is_default(&self) -> bool {
        self.guarantees.is_empty() && self.limits.is_empty()
    }

    /// `None`: no quota.
    fn to_allocator(&self) -> Option<karman_allocator::Quota> {
        let amounts = |amounts: &Amounts| -> Vec<(Arc<str>, Quantity)> {
            amounts.iter().map(|(name, amount)| (name.as_str().into(), *amount)).collect()
        };
        let quota = karman_allocator::Quota {
            guarantees: amounts(&self.guarantees).into_iter().collect(),
            limits: amounts(&self.limits).into_iter().collect(),
        };
        (!self.is_default()).then_some(quota)
    }

    pub fn to_wire(&self, role: &str) -> QuotaConfig {
        let amounts = |amounts: &Amounts| {
            let scalar = |amount: &Quantity| v1::value::Scalar { value: amount.as_f64() };
            amounts.iter().map(|(name, amount)| (name.clone(), scalar(amount))).collect()
        };
        QuotaConfig {
            role: role.to_owned(),
            guarantees: amounts(&self.guarantees),
            limits: amounts(&self.limits),
        }
    }
}

impl Ledger {
    /// All of the roles get their new quota, or none. A default one removes it.
    pub(super) fn update_quota(
        &mut self,
        force: bool,
        configs: &[QuotaConfig],
    ) -> Result<(), Refusal> {
        let changed = read::configs(configs).map_err(Refusal::Invalid)?;
        let quotas = self.with_quotas(&changed).map_err(Refusal::Invalid)?;
        if !force {
            let capacity = self.capacity();
            tree::fits_capacity(&quotas, &capacity).map_err(Refusal::Invalid)?;
            self.is_within_limits(&changed).map_err(Refusal::Invalid)?;
        }
        self.put_quotas(quotas, &changed);
        Ok(())
    }

    /// The old way: a guarantee that is also the limit, for a role without quota.
    pub(super) fn set_quota(&mut self, request: &QuotaRequest) -> Result<(), Refusal> {
        let invalid =
            |problem| Refusal::Invalid(format!("Failed to validate set quota request: {problem}"));
        let (role, quota) = read::request(request).map_err(invalid)?;
        if self.registry.quotas.contains_key(&role) {
            let problem = format!("Cannot set quota for role '{role}' which already has quota");
            return Err(invalid(problem));
        }
        let changed = BTreeMap::from([(role, quota)]);
        let quotas = self.with_quotas(&changed).map_err(invalid)?;
        if !request.force.unwrap_or(false) {
            let capacity = self.capacity();
            tree::fits_capacity(&quotas, &capacity).map_err(Refusal::Conflict)?;
        }
        self.put_quotas(quotas, &changed);
        Ok(())
    }

    pub(super) fn remove_quota(&mut self, role: &str) -> Result<(), Refusal> {
        let invalid = |problem| Refusal::Invalid(format!("Failed to remove quota: {problem}"));
        let Some((role, _)) = self.registry.quotas.get_key_value(role) else {
            return Err(invalid(format!("Role '{role}' has no quota set")));
        };
        let changed = BTreeMap::from([(Arc::clone(role), Quota::default())]);
        let quotas = self.with_quotas(&changed).map_err(invalid)?;
        self.put_quotas(quotas, &changed);
        Ok(())
    }

    /// All quotas as they would be, if they fit together.
    fn with_quotas(
        &self,
        changed: &BTreeMap<Role, Quota>,
    ) -> Result<BTreeMap<Role, Quota>, String> {
        let mut quotas = (*self.registry.quotas).clone();
        for (role, quota) in changed {
            if quota.is_default() {
                quotas.remove(role);
            } else {
                quotas.insert(Arc::clone(role), quota.clone());
            }
        }
        // All of them are one stored object.
        let wire: Vec<QuotaConfig> = quotas.iter().map(|(role, it)| it.to_wire(role)).collect();
        if !validate::is_storable(&wire) {
            return Err(format!("all quotas must not be larger than {INFO_BYTES_MAX} bytes"));
        }
        tree::fits(&quotas)?;
        Ok(quotas)
    }

    fn put_quotas(&mut self, quotas: BTreeMap<Role, Quota>, changed: &BTreeMap<Role, Quota>) {
        self.registry.quotas = Arc::new(quotas);
        self.effect(Effect::Save(Key::Quotas));
        for (role, quota) in changed {
            self.allocator.set_quota(role, quota.to_allocator());
        }
        for (role, quota) in changed {
            self.rescind_above(role, &quota.limits);
            self.rescind_for(role, &quota.guarantees);
        }
    }

    /// What the agents have that are there or are expected to come back.
    fn capacity(&self) -> Amounts {
        amounts(&self.allocator.capacity())
    }

    fn is_within_limits(&self, changed: &BTreeMap<Role, Quota>) -> Result<(), String> {
        for (role, quota) in changed.iter().filter(|(_, quota)| !quota.limits.is_empty()) {
            let consumed = self.consumed(role);
            for (name, limit) in &quota.limits {
                let used = amount(&consumed, name);
                if used > *limit {
                    return Err(format!(
                        "Invalid QuotaConfig: role '{role}' already consumes {used} {name}, more than the limit {limit} (use the 'force' flag to bypass this check)"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What is reserved for the role and those below, used or not, and what
    /// their tasks and executors use besides. The allocator keeps the account.
    pub fn consumed(&self, role: &str) -> Amounts {
        amounts(&self.allocator.consumption(role))
    }

    /// The same with what is offered to them.
    pub(super) fn claimed(&self, role: &str) -> Amounts {
        amounts(&self.allocator.claimed(role))
    }

    /// The role consumes more without having been offered it: what is offered to
    /// it may be too much now.
    pub(super) fn consumes_more(&mut self, role: &str) {
        if !self.registry.quotas.is_empty() && !self.consuming.contains(role) {
            self.consuming.insert(role.into());
        }
    }

    /// Takes offers back that would break a limit if they were accepted.
    pub(super) fn keep_limits(&mut self) {
        while let Some(role) = self.consuming.pop_first() {
            let quotas = Arc::clone(&self.registry.quotas);
            for above in lineage(&role) {
                if let Some((above, quota)) = quotas.get_key_value(above) {
                    self.rescind_above(above, &quota.limits);
                }
            }
        }
    }

    /// Takes offers of the role back until it could have no more than its limit.
    fn rescind_above(&mut self, role: &Role, limits: &Amounts) {
        let mut claimed = self.claimed(role);
        let is_above =
            |claimed: &Amounts, name: &str, limit: &Quantity| amount(claimed, name) > *limit;
        if !limits.iter().any(|(name, limit)| is_above(&claimed, name, limit)) {
            return;
        }
        for (offer, resources) in self.offers_where(|owner| role::may_use(owner, role)) {
            let has_too_much = |name: &str, limit: &Quantity| {
                is_above(&claimed, name, limit) && resources.scalar(name).is_positive()
            };
            if limits.iter().any(|(name, limit)| has_too_much(name, limit)) {
                self.rescind(&offer, None);
                sub(&mut claimed, &resources);
            }
        }
    }

    /// Takes offers of other roles back until what they held is enough for what
    /// the role has yet to get.
    fn rescind_for(&mut self, role: &Role, guarantees: &Amounts) {
        let mut had = self.claimed(role);
        if guarantees.iter().all(|(name, wanted)| amount(&had, name) >= *wanted) {
            return;
        }
        for (offer, resources) in self.offers_where(|owner| !role::may_use(owner, role)) {
            let is_missing = |name: &str, wanted: &Quantity| {
                amount(&had, name) < *wanted && resources.scalar(name).is_positive()
            };
            if guarantees.iter().any(|(name, wanted)| is_missing(name, wanted)) {
                self.rescind(&offer, None);
                add(&mut had, &resources);
            }
        }
    }

    /// What is reserved to nobody in the offers to some roles.
    fn offers_where(&self, is_meant: impl Fn(&str) -> bool) -> Vec<(OfferId, Resources)> {
        let offers = self.offers.values().filter(|offer| is_meant(&offer.role));
        offers.map(|offer| (offer.id.clone(), offer.resources.unreserved())).collect()
    }

    /// As they are stored and shown.
    pub fn stored_quotas(&self) -> Vec<QuotaConfig> {
        self.registry.quotas.iter().map(|(role, quota)| quota.to_wire(role)).collect()
    }

    pub(super) fn restore_quotas(&mut self, configs: &[QuotaConfig]) -> Result<(), String> {
        self.registry.quotas = Arc::new(read::configs(configs)?);
        for (role, quota) in &*self.registry.quotas {
            self.allocator.set_quota(role, quota.to_allocator());
        }
        Ok(())
    }
}

/// Amounts that quota is about: what can be taken back counts for nobody.
fn add(sum: &mut Amounts, resources: &Resources) {
    for resource in resources.iter().filter(|resource| !resource.kind.revocable) {
        if let Value::Scalar(amount) = &resource.value {
            *sum.entry(resource.kind.name.to_string()).or_default() += *amount;
        }
    }
}

fn amounts(quantities: &Quantities) -> Amounts {
    quantities.iter().map(|(name, amount)| (name.to_string(), amount)).collect()
}

fn sub(sum: &mut Amounts, resources: &Resources) {
    for resource in resources.iter().filter(|resource| !resource.kind.revocable) {
        if let Value::Scalar(amount) = &resource.value {
            *sum.entry(resource.kind.name.to_string()).or_default() -= *amount;
        }
    }
}

pub(super) fn amount(amounts: &Amounts, name: &str) -> Quantity {
    amounts.get(name).copied().unwrap_or_default()
}

/// The role and all roles above it, itself first.
pub(super) fn lineage(role: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(role), |role| role.rsplit_once('/').map(|(above, _)| above))
}

/// All names that occur in any of the amounts.
fn names<'a>(quotas: impl Iterator<Item = &'a Quota>) -> BTreeSet<&'a str> {
    quotas
        .flat_map(|quota| quota.guarantees.keys().chain(quota.limits.keys()))
        .map(String::as_str)
        .collect()
}

#[cfg(test)]
mod tests;
