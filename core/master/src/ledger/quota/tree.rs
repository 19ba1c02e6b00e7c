//! Whether quotas of roles fit into those of the roles above them.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use karman_allocator::Role;
use karman_model::quantity::Quantity;

use super::{Amounts, Quota, amount, lineage, names};

/// What a role needs for one resource is its guarantee or, if that is more,
/// what the roles directly below it need. A guarantee that is set must cover
/// those needs, and a limit must not be below them.
pub(super) fn fits(quotas: &BTreeMap<Role, Quota>) -> Result<(), String> {
    needs(quotas).map(|_| ())
}

/// Whether the cluster has all that is guaranteed.
pub(super) fn fits_capacity(
    quotas: &BTreeMap<Role, Quota>,
    capacity: &Amounts,
) -> Result<(), String> {
    for (name, needed) in needs(quotas)? {
        let there_is = amount(capacity, &name);
        if needed > there_is {
            return Err(format!(
                "Invalid QuotaConfig: {needed} {name} would be guaranteed, more than the {there_is} of the cluster (use the 'force' flag to bypass this check)"
            ));
        }
    }
    Ok(())
}

/// What all roles together are guaranteed.
fn needs(quotas: &BTreeMap<Role, Quota>) -> Result<Amounts, String> {
    let roles: BTreeSet<&str> = quotas.keys().flat_map(|role| lineage(role)).collect();
    let mut all = Amounts::new();
    for name in names(quotas.values()) {
        let mut below: BTreeMap<&str, Quantity> = BTreeMap::new();
        // A role comes after those above it.
        for role in roles.iter().rev() {
            let below_here = below.remove(role).unwrap_or_default();
            let need =
                quotas.get(*role).map_or(Ok(below_here), |it| need(role, name, it, below_here))?;
            match role.rsplit_once('/') {
                Some((above, _)) => *below.entry(above).or_default() += need,
                None => *all.entry(name.to_owned()).or_default() += need,
            }
        }
    }
    Ok(all)
}

fn need(role: &str, name: &str, quota: &Quota, below: Quantity) -> Result<Quantity, String> {
    let own = quota.guarantees.get(name).copied();
    if let Some(own) = own.filter(|own| below > *own) {
        return Err(format!(
            "Invalid QuotaConfig: guarantees.{name} {own} of role '{role}' must not be less than the {below} guaranteed to the roles below it"
        ));
    }
    let need = own.unwrap_or(below);
    match quota.limits.get(name) {
        Some(limit) if need > *limit => Err(format!(
            "Invalid QuotaConfig: limits.{name} {limit} of role '{role}' must not be less than the {need} guaranteed to the roles below it"
        )),
        Some(_) | None => Ok(need),
    }
}
