//! The rules for resources in calls.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_api::convert;
use karman_api::mesos::v1;
use karman_model::id;
use karman_model::resource::{Resource, Resources, Value};

/// Resources of one call; more are a mistake or an attack.
pub const RESOURCES_MAX: usize = 1000;

/// Why resources are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Wire(convert::Error),
    #[error("{0} resources are listed, at most {RESOURCES_MAX} are possible")]
    Many(usize),
    #[error("'{name}' is of the resource provider '{provider}', which does not exist")]
    Provider { name: String, provider: String },
    #[error("'{0}' mixes revocable and non-revocable resources")]
    Revocable(String),
    #[error("'gpus' must be whole, not {0}")]
    Gpus(String),
    #[error("the persistence id '{id}' {problem}")]
    VolumeId { id: String, problem: id::Error },
    #[error("the persistent volume '{0}' is listed twice")]
    TwiceVolume(String),
    #[error("'disk.volume' of '{0}' is set without 'disk.persistence'")]
    VolumeWithoutPersistence(String),
    #[error("the persistent volume '{0}' has no 'disk.volume'")]
    PersistenceWithoutVolume(String),
    #[error("the persistent volume '{0}' must not be reserved to nobody")]
    Unreserved(String),
    #[error("the persistent volume '{0}' must not be revocable")]
    RevocableVolume(String),
    #[error("'{0}' is shared and no persistent volume")]
    Shared(String),
    #[error("'{0}' is allocated to '{1}', the offer is of '{2}'")]
    Role(String, String, String),
}

/// Reads resources and looks at each by itself.
pub fn read(wire: &[v1::Resource]) -> Result<Resources, Error> {
    if wire.len() > RESOURCES_MAX {
        return Err(Error::Many(wire.len()));
    }
    let mut resources = Resources::EMPTY;
    let mut volumes = BTreeSet::new();
    for wire in wire {
        let resource = convert::resource_from_wire(wire).map_err(Error::Wire)?;
        one(&resource)?;
        if let Some(id) = resource.kind.volume_id()
            && !resource.value.is_empty()
            && !volumes.insert((resource.kind.reserved_to().map(str::to_owned), id.to_owned()))
        {
            return Err(Error::TwiceVolume(id.to_owned()));
        }
        resources.insert(resource);
    }
    Ok(resources)
}

fn one(resource: &Resource) -> Result<(), Error> {
    let Resource { kind, value } = resource;
    let name = || kind.name.to_string();
    if let Some(provider) = &kind.provider {
        return Err(Error::Provider { name: name(), provider: provider.to_string() });
    }
    if let (Value::Scalar(amount), "gpus") = (value, &*kind.name)
        && !amount.is_whole()
    {
        return Err(Error::Gpus(amount.to_string()));
    }
    let Some(id) = kind.volume_id() else {
        if kind.shared {
            return Err(Error::Shared(name()));
        }
        return match &kind.disk {
            Some(disk) if disk.volume.is_some() => Err(Error::VolumeWithoutPersistence(name())),
            Some(_) | None => Ok(()),
        };
    };
    id::check(id).map_err(|problem| Error::VolumeId { id: id.to_owned(), problem })?;
    if kind.disk.as_ref().is_none_or(|disk| disk.volume.is_none()) {
        return Err(Error::PersistenceWithoutVolume(id.to_owned()));
    }
    if kind.reservations.is_empty() {
        return Err(Error::Unreserved(id.to_owned()));
    }
    if kind.revocable {
        return Err(Error::RevocableVolume(id.to_owned()));
    }
    Ok(())
}

/// Nobody may use both of a name: what can be taken back would take the rest
/// with it.
pub fn is_unmixed(resources: &Resources) -> Result<(), Error> {
    for name in resources.names() {
        let mut kinds = resources.iter().filter(|resource| &*resource.kind.name == name);
        let revocable = kinds.next().map(|resource| resource.kind.revocable);
        if kinds.any(|resource| Some(resource.kind.revocable) != revocable) {
            return Err(Error::Revocable(name.to_owned()));
        }
    }
    Ok(())
}

/// Whether all of them are on the account of `role`, or on none yet.
pub fn is_of_role(resources: &Resources, role: &str) -> Result<(), Error> {
    let stranger = resources.iter().find_map(|resource| {
        let to = resource.kind.allocated_to.as_deref().filter(|to| *to != role)?;
        Some((resource.kind.name.to_string(), to.to_owned()))
    });
    match stranger {
        Some((name, to)) => Err(Error::Role(name, to, role.to_owned())),
        None => Ok(()),
    }
}
