//! What operators write, as quotas.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_allocator::Role;
use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use karman_model::quantity::Quantity;
use karman_model::resource::Value;
use karman_model::role;

use super::{Amounts, Quota};

pub(super) fn configs(configs: &[QuotaConfig]) -> Result<BTreeMap<Role, Quota>, String> {
    let mut quotas = BTreeMap::new();
    for config in configs {
        let (role, quota) =
            read(config).map_err(|problem| format!("Invalid QuotaConfig: {problem}"))?;
        if quotas.insert(role, quota).is_some() {
            return Err(format!("Invalid QuotaConfig: role '{}' is named twice", config.role));
        }
    }
    Ok(quotas)
}

fn read(config: &QuotaConfig) -> Result<(Role, Quota), String> {
    let QuotaConfig { role, guarantees, limits } = config;
    check_role(role)?;
    let mut quota = Quota {
        guarantees: amounts(role, "guarantees", guarantees)?,
        limits: amounts(role, "limits", limits)?,
    };
    // To be guaranteed nothing is no guarantee; to be limited to nothing is a limit.
    quota.guarantees.retain(|_, amount| amount.is_positive());
    for (name, guarantee) in &quota.guarantees {
        if let Some(limit) = quota.limits.get(name).filter(|limit| guarantee > limit) {
            return Err(format!(
                "guarantees.{name} {guarantee} of role '{role}' must not be more than limits.{name} {limit}"
            ));
        }
    }
    Ok((role.as_str().into(), quota))
}

fn check_role(role: &str) -> Result<(), String> {
    if role == role::ANY {
        return Err("the role '*' of everybody cannot have a quota".to_owned());
    }
    role::check(role).map_err(|e| e.to_string())
}

fn amounts(
    role: &str,
    field: &str,
    scalars: &BTreeMap<String, v1::value::Scalar>,
) -> Result<Amounts, String> {
    let amount = |(name, scalar): (&String, &v1::value::Scalar)| {
        if name.is_empty() {
            return Err(format!("{field} of role '{role}' must name their resources"));
        }
        let wrong =
            |rule: &str| Err(format!("{field}.{name} {} of role '{role}' {rule}", scalar.value));
        match Quantity::from_f64(scalar.value) {
            Ok(amount) if amount.is_negative() => wrong("must not be negative"),
            Ok(amount) => Ok((name.clone(), amount)),
            Err(problem) => wrong(&problem.to_string()),
        }
    };
    scalars.iter().map(amount).collect()
}

pub(super) fn request(request: &QuotaRequest) -> Result<(Role, Quota), String> {
    let QuotaRequest { force: _, role, guarantee } = request;
    let role = role.as_deref().filter(|role| !role.is_empty()).ok_or("a role is needed")?;
    check_role(role)?;
    let resources = convert::resources_from_wire(guarantee).map_err(|e| e.to_string())?;
    let mut guarantees = Amounts::new();
    for resource in &resources {
        let name = &resource.kind.name;
        let Value::Scalar(amount) = resource.value else {
            return Err(format!("guarantee '{name}' must be a SCALAR"));
        };
        let kind = &resource.kind;
        if !kind.reservations.is_empty() || kind.disk.is_some() || kind.revocable {
            return Err(format!(
                "guarantee '{name}' must not be reserved, revocable or of a certain disk"
            ));
        }
        guarantees.insert(name.to_string(), amount);
    }
    if guarantees.is_empty() {
        return Err("guarantee must name at least one resource".to_owned());
    }
    if guarantees.len() < guarantee.len() {
        return Err("guarantee must name each resource once and not be zero".to_owned());
    }
    Ok((role.into(), Quota { limits: guarantees.clone(), guarantees }))
}
