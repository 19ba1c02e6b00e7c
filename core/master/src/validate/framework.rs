//! The rules for `FrameworkInfo`.
#![deny(clippy::disallowed_methods)]
#![expect(
    deprecated,
    reason = "frameworks without MULTI_ROLE say their role in a field that is marked so"
)]

use std::collections::BTreeSet;

use karman_api::mesos::v1;
use karman_model::quantity::Quantity;
use karman_model::{id, role};

use super::{INFO_BYTES_MAX, is_storable};
use crate::ledger::Capabilities;

/// Why a framework is not let in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("'FrameworkInfo.id' {0}")]
    Id(id::Error),
    #[error("'FrameworkInfo.role' must not be set with the MULTI_ROLE capability")]
    RoleWithMultiRole,
    #[error("'FrameworkInfo.roles' must not be set without the MULTI_ROLE capability")]
    RolesWithoutMultiRole,
    #[error("'FrameworkInfo.roles' contains '{0}' twice")]
    DuplicateRole(String),
    #[error("'FrameworkInfo.roles': {0}")]
    Role(role::Error),
    #[error("Suppressed role '{0}' is not one of the framework's roles")]
    Suppressed(String),
    #[error("'FrameworkInfo.failover_timeout' must be a number of seconds")]
    FailoverTimeout,
    #[error(
        "'FrameworkInfo.offer_filters' of role '{role}' needs at least one quantity in each of 'min_allocatable_resources'"
    )]
    NoQuantity { role: String },
    #[error(
        "'FrameworkInfo.offer_filters' of role '{role}' asks for at least {amount} {name}: {rule}"
    )]
    LeastQuantity { role: String, name: String, amount: f64, rule: String },
    #[error("'FrameworkInfo' must not be larger than {INFO_BYTES_MAX} bytes")]
    Large,
    #[error(transparent)]
    Constraints(#[from] super::constraints::Error),
    #[error("Changing '{0}' of a framework is not allowed")]
    Changed(&'static str),
}

/// For SUBSCRIBE; `old` is what the framework said before.
pub fn check(
    info: &v1::FrameworkInfo,
    suppressed: &[String],
    old: Option<&v1::FrameworkInfo>,
) -> Result<(), Error> {
    if let Some(v1::FrameworkId { value }) = &info.id {
        id::check(value).map_err(Error::Id)?;
    }
    let multi_role = Capabilities::of(info).multi_role;
    if multi_role && info.role.is_some() {
        return Err(Error::RoleWithMultiRole);
    }
    if !multi_role && !info.roles.is_empty() {
        return Err(Error::RolesWithoutMultiRole);
    }
    let mut roles = BTreeSet::new();
    for name in info.roles.iter().chain(&info.role) {
        role::check(name).map_err(Error::Role)?;
        if !roles.insert(name.as_str()) {
            return Err(Error::DuplicateRole(name.clone()));
        }
    }
    if roles.is_empty() && !multi_role {
        roles.insert(role::ANY);
    }
    if let Some(stranger) = suppressed.iter().find(|name| !roles.contains(name.as_str())) {
        return Err(Error::Suppressed(stranger.clone()));
    }
    if info.failover_timeout.is_some_and(|seconds| seconds.is_nan() || seconds < 0.0) {
        return Err(Error::FailoverTimeout);
    }
    check_filters(info)?;
    if !is_storable(info) {
        return Err(Error::Large);
    }
    match old {
        // One that had none may get one: masters begin to ask for credentials.
        Some(old) if old.principal.is_some() && old.principal != info.principal => {
            Err(Error::Changed("principal"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The least that is worth an offer, by role; a role that the framework is not
/// in yet may be named.
fn check_filters(info: &v1::FrameworkInfo) -> Result<(), Error> {
    for (role, filters) in &info.offer_filters {
        let least = filters.min_allocatable_resources.iter().flat_map(|it| &it.quantities);
        for alternative in least {
            if alternative.quantities.is_empty() {
                return Err(Error::NoQuantity { role: role.clone() });
            }
            for (name, scalar) in &alternative.quantities {
                let wrong = |rule: String| {
                    let (role, name) = (role.clone(), name.clone());
                    Err(Error::LeastQuantity { role, name, amount: scalar.value, rule })
                };
                match Quantity::from_f64(scalar.value) {
                    Ok(amount) if amount.is_negative() => {
                        return wrong("must not be negative".to_owned());
                    }
                    Ok(_) => {}
                    Err(problem) => return wrong(problem.to_string()),
                }
            }
        }
    }
    Ok(())
}

/// For UPDATE_FRAMEWORK, which is stricter about what may change.
pub fn check_update(
    info: &v1::FrameworkInfo,
    suppressed: &[String],
    old: Option<&v1::FrameworkInfo>,
) -> Result<(), Error> {
    check(info, suppressed, old)?;
    match old {
        Some(old) if old.user != info.user => Err(Error::Changed("user")),
        Some(old) if old.checkpoint.unwrap_or(false) != info.checkpoint.unwrap_or(false) => {
            Err(Error::Changed("checkpoint"))
        }
        Some(_) | None => Ok(()),
    }
}

/// On SUBSCRIBE these two stay what they were, silently.
pub fn merge(mut info: v1::FrameworkInfo, old: &v1::FrameworkInfo) -> v1::FrameworkInfo {
    info.user.clone_from(&old.user);
    info.checkpoint = old.checkpoint;
    info
}
