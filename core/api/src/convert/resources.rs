//! `Resource` in both of its formats.
#![deny(clippy::disallowed_methods)]
#![expect(deprecated, reason = "the old format lives in fields that are marked so")]

use karman_model::resource::{Kind, Reservation, ReservationType, Resource, Resources, Value};
use karman_model::role;

use super::value::{
    labels_from_wire, labels_to_wire, ranges_from_wire, ranges_to_wire, scalar_from_wire,
    scalar_to_wire, set_to_wire,
};
use super::{Error, Problem, disk, error};
use crate::mesos::v1;
use crate::mesos::v1::resource::reservation_info::Type;
use crate::mesos::v1::resource::{AllocationInfo, ReservationInfo, RevocableInfo, SharedInfo};
use crate::mesos::v1::value;

/// How reservations are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `role` and `reservation`. What was reserved more than once cannot be said
    /// this way and is written refined.
    Legacy,
    /// `reservations`.
    Refined,
}

/// All of them; amounts of the same kind are added up.
pub fn resources_from_wire(wire: &[v1::Resource]) -> Result<Resources, Error> {
    wire.iter().map(resource_from_wire).collect()
}

pub fn resources_to_wire(resources: &Resources, format: Format) -> Vec<v1::Resource> {
    resources.iter().map(|resource| resource_to_wire(resource, format)).collect()
}

pub fn resource_from_wire(wire: &v1::Resource) -> Result<Resource, Error> {
    let v1::Resource {
        provider_id,
        name,
        r#type,
        scalar,
        ranges,
        set,
        role,
        allocation_info,
        reservation,
        reservations,
        disk,
        revocable,
        shared,
    } = wire;
    if name.is_empty() {
        return Err(error(name, "name", Problem::Missing));
    }
    let value = match value::Type::try_from(*r#type) {
        Ok(value::Type::Scalar) => Value::Scalar(scalar_from_wire(name, scalar.as_ref())?),
        Ok(value::Type::Ranges) => Value::Ranges(ranges_from_wire(name, ranges.as_ref())?),
        Ok(value::Type::Set) => {
            let value::Set { item } =
                set.as_ref().ok_or_else(|| error(name, "set", Problem::Missing))?;
            Value::Set(item.iter().cloned().collect())
        }
        Ok(value::Type::Text) | Err(_) => return Err(error(name, "type", Problem::Unsupported)),
    };
    if matches!(value, Value::Scalar(amount) if amount.is_negative()) {
        return Err(error(name, "scalar", Problem::Negative));
    }
    let reservations = match reservations.as_slice() {
        [] => legacy(name, role.as_deref(), reservation.as_ref())?,
        stack => {
            if reservation.is_some() || role.as_deref().is_some_and(|role| role != role::ANY) {
                return Err(error(name, "reservations", Problem::Mixed));
            }
            refined(name, stack)?
        }
    };
    let kind = Kind {
        name: name.as_str().into(),
        reservations,
        disk: disk.as_ref().map(|disk| disk::from_wire(name, disk).map(Box::new)).transpose()?,
        revocable: revocable.is_some(),
        shared: shared.is_some(),
        provider: provider_id.as_ref().map(Into::into),
        allocated_to: allocation_info
            .as_ref()
            .and_then(|AllocationInfo { role }| role.as_deref())
            .map(Into::into),
    };
    Ok(Resource { kind, value })
}

/// `role` and `reservation`.
fn legacy(
    name: &str,
    role: Option<&str>,
    reservation: Option<&ReservationInfo>,
) -> Result<Vec<Reservation>, Error> {
    let role = role.filter(|role| *role != role::ANY);
    match (role, reservation) {
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Err(error(name, "reservation", Problem::Mixed)),
        (Some(role), None) => Ok(vec![level(name, "role", ReservationType::Static, role)?]),
        (Some(role), Some(ReservationInfo { r#type: _, role: inner, principal, labels })) => {
            if inner.is_some() {
                return Err(error(name, "reservation.role", Problem::Mixed));
            }
            let mut level = level(name, "role", ReservationType::Dynamic, role)?;
            level.principal = principal.as_deref().map(Into::into);
            level.labels = labels_from_wire(labels.as_ref());
            Ok(vec![level])
        }
    }
}

/// `reservations`.
fn refined(name: &str, stack: &[ReservationInfo]) -> Result<Vec<Reservation>, Error> {
    let mut levels: Vec<Reservation> = Vec::with_capacity(stack.len());
    for ReservationInfo { r#type, role, principal, labels } in stack {
        let kind = match r#type.and_then(|number| Type::try_from(number).ok()) {
            Some(Type::Static) => ReservationType::Static,
            Some(Type::Dynamic) => ReservationType::Dynamic,
            Some(Type::Unknown) | None => {
                return Err(error(name, "reservations.type", Problem::Missing));
            }
        };
        let role =
            role.as_deref().ok_or_else(|| error(name, "reservations.role", Problem::Missing))?;
        let mut level = level(name, "reservations.role", kind, role)?;
        level.principal = principal.as_deref().map(Into::into);
        level.labels = labels_from_wire(labels.as_ref());
        if let Some(parent) = levels.last()
            && !role::is_below(role, &parent.role)
        {
            let problem =
                Problem::NotBelow { role: role.to_owned(), parent: parent.role.to_string() };
            return Err(error(name, "reservations.role", problem));
        }
        levels.push(level);
    }
    Ok(levels)
}

fn level(
    name: &str,
    field: &'static str,
    kind: ReservationType,
    role: &str,
) -> Result<Reservation, Error> {
    role::check(role).map_err(|problem| error(name, field, Problem::Role(problem)))?;
    if role == role::ANY {
        return Err(error(name, field, Problem::Unsupported));
    }
    Ok(Reservation { kind, role: role.into(), principal: None, labels: Vec::new() })
}

pub fn resource_to_wire(resource: &Resource, format: Format) -> v1::Resource {
    let Resource { kind, value } = resource;
    let Kind { name, reservations, disk, revocable, shared, provider, allocated_to } = kind;
    let (r#type, scalar, ranges, set) = match value {
        Value::Scalar(amount) => (value::Type::Scalar, Some(scalar_to_wire(*amount)), None, None),
        Value::Ranges(ranges) => (value::Type::Ranges, None, Some(ranges_to_wire(ranges)), None),
        Value::Set(items) => (value::Type::Set, None, None, Some(set_to_wire(items))),
    };
    let mut wire = v1::Resource {
        provider_id: provider.as_ref().map(Into::into),
        name: name.to_string(),
        r#type: r#type.into(),
        scalar,
        ranges,
        set,
        role: None,
        allocation_info: allocated_to
            .as_ref()
            .map(|role| AllocationInfo { role: Some(role.to_string()) }),
        reservation: None,
        reservations: Vec::new(),
        disk: disk.as_deref().map(disk::to_wire).map(Box::new),
        revocable: revocable.then_some(RevocableInfo {}),
        shared: shared.then_some(SharedInfo {}),
    };
    match (format, reservations.as_slice()) {
        (Format::Legacy, []) => wire.role = Some(role::ANY.to_owned()),
        (Format::Legacy, [Reservation { kind, role, principal, labels }]) => {
            wire.role = Some(role.to_string());
            wire.reservation = (*kind == ReservationType::Dynamic).then(|| ReservationInfo {
                r#type: None,
                role: None,
                principal: principal.as_ref().map(ToString::to_string),
                labels: labels_to_wire(labels),
            });
        }
        (Format::Legacy | Format::Refined, stack) => {
            wire.reservations = stack.iter().map(level_to_wire).collect();
        }
    }
    wire
}

fn level_to_wire(level: &Reservation) -> ReservationInfo {
    let Reservation { kind, role, principal, labels } = level;
    let r#type = match kind {
        ReservationType::Static => Type::Static,
        ReservationType::Dynamic => Type::Dynamic,
    };
    ReservationInfo {
        r#type: Some(r#type.into()),
        role: Some(role.to_string()),
        principal: principal.as_ref().map(ToString::to_string),
        labels: labels_to_wire(labels),
    }
}
