//! The rules for operations that turn resources into others, and what each of
//! them turns into what.
#![deny(clippy::disallowed_methods)]

use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::operation;
use karman_model::quantity::{self, Quantity};
use karman_model::resource::{
    Conversion, Kind, Reservation, ReservationType, Resource, Resources, SourceType, Value,
    VolumeMode,
};
use karman_model::role;

use super::resources::{self, is_of_role, read};

/// Why an operation is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'operation.{0}' must be set")]
    Missing(&'static str),
    #[error("{0} must not be empty")]
    Empty(&'static str),
    #[error("{field}: {error}")]
    Resources { field: &'static str, error: resources::Error },
    #[error("reserve.source is only for operators")]
    Source,
    #[error("reserve.source is {source_sum}, as much as reserve.resources ({target}) is needed")]
    Unequal { source_sum: Resources, target: Resources },
    #[error("{0} is not dynamically reserved")]
    NotDynamic(String),
    #[error("{0} is revocable and cannot be reserved")]
    Revocable(String),
    #[error("{0} is a persistent volume; it can only be created, destroyed or resized")]
    IsVolume(String),
    #[error("{0} is no persistent volume")]
    NoVolume(String),
    #[error("{name} is to be reserved to '{to}', the offer is of '{role}'")]
    ForeignRole { name: String, to: String, role: String },
    #[error("{name} refines a reservation to '{to}', which needs RESERVATION_REFINEMENT")]
    Refinement { name: String, to: String },
    #[error("'principal' of {what} is {said}, the principal that asks for it is '{principal}'")]
    Principal { what: String, said: String, principal: String },
    #[error("the persistent volume '{id}' exists on this agent for role '{role}' already")]
    VolumeExists { id: String, role: String },
    #[error("the persistent volume '{0}' must not have a 'disk.volume.host_path'")]
    HostPath(String),
    #[error("'disk.volume.container_path' of the persistent volume '{0}' must not be empty")]
    ContainerPath(String),
    #[error("the persistent volume '{0}' must be of mode RW, not RO")]
    ReadOnly(String),
    #[error("the persistent volume '{0}' cannot be on a disk of type BLOCK or RAW")]
    DiskSource(String),
    #[error("the persistent volume '{0}' is shared, which needs SHARED_RESOURCES")]
    SharedUnable(String),
    #[error("'{0}' must be an amount of disk")]
    NoDisk(String),
    #[error("the persistent volume '{0}' is not on this agent")]
    NoSuchVolume(String),
    #[error("the persistent volume '{0}' is in use")]
    InUse(String),
    #[error("the persistent volume '{0}' is shared and cannot be resized")]
    ResizeShared(String),
    #[error("the persistent volume '{0}' is a whole disk and cannot be resized")]
    ResizeMount(String),
    #[error("grow_volume.addition is not of the same disk and reservation as the volume '{0}'")]
    Addition(String),
    #[error("shrink_volume.subtract {0}")]
    Subtract(quantity::Error),
    #[error("shrink_volume.subtract must be more than 0 and less than {size}, not {by}")]
    SubtractRange { by: Quantity, size: Quantity },
    #[error("there is no resource provider that could carry out {0}")]
    NoProvider(&'static str),
    #[error("an operation of type {0} cannot be carried out this way")]
    Kind(&'static str),
}

/// Who wants it.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A framework, with resources that are offered to it in one role.
    Framework {
        role: &'a str,
        principal: Option<&'a str>,
        refinement: bool,
        shared: bool,
    },
    Operator {
        principal: Option<&'a str>,
    },
}

/// The agent that it happens on; all on nobody's account.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub total: &'a Resources,
    /// By tasks and executors.
    pub used: &'a Resources,
}

impl Who<'_> {
    const fn principal(&self) -> Option<&str> {
        match self {
            Who::Framework { principal, .. } | Who::Operator { principal } => *principal,
        }
    }
}

/// What the operation turns into what, on nobody's account; whether there is so
/// much to turn is for the caller to find out.
pub fn plan(
    operation: &v1::offer::Operation,
    who: Who<'_>,
    site: Site<'_>,
) -> Result<Conversion, Error> {
    match operation.r#type() {
        operation::Type::Reserve => {
            reserve(operation.reserve.as_ref().ok_or(Error::Missing("reserve"))?, who)
        }
        operation::Type::Unreserve => {
            unreserve(operation.unreserve.as_ref().ok_or(Error::Missing("unreserve"))?, who)
        }
        operation::Type::Create => {
            create(operation.create.as_ref().ok_or(Error::Missing("create"))?, who, site)
        }
        operation::Type::Destroy => {
            destroy(operation.destroy.as_ref().ok_or(Error::Missing("destroy"))?, who, site)
        }
        operation::Type::GrowVolume => {
            grow(operation.grow_volume.as_ref().ok_or(Error::Missing("grow_volume"))?, who, site)
        }
        operation::Type::ShrinkVolume => {
            let shrunk = operation.shrink_volume.as_ref();
            shrink(shrunk.ok_or(Error::Missing("shrink_volume"))?, who, site)
        }
        operation::Type::CreateDisk => Err(Error::NoProvider("CREATE_DISK")),
        operation::Type::DestroyDisk => Err(Error::NoProvider("DESTROY_DISK")),
        kind @ (operation::Type::Unknown
        | operation::Type::Launch
        | operation::Type::LaunchGroup) => Err(Error::Kind(kind.as_str_name())),
    }
}

fn listed(field: &'static str, wire: &[v1::Resource], who: Who<'_>) -> Result<Resources, Error> {
    let resources = read(wire).map_err(|error| Error::Resources { field, error })?;
    if resources.is_empty() {
        return Err(Error::Empty(field));
    }
    if let Who::Framework { role, .. } = who {
        is_of_role(&resources, role).map_err(|error| Error::Resources { field, error })?;
    }
    Ok(resources.unallocated())
}

fn shown(resource: &Resource) -> String {
    Resources::from(resource.clone()).to_string()
}

/// Who has proved who he is must say so in what he makes.
fn check_principal(
    what: impl Fn() -> String,
    said: Option<&str>,
    who: Who<'_>,
) -> Result<(), Error> {
    match who.principal() {
        Some(principal) if said != Some(principal) => Err(Error::Principal {
            what: what(),
            said: said.map_or_else(|| "not set".to_owned(), |said| format!("'{said}'")),
            principal: principal.to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn reserve(wire: &operation::Reserve, who: Who<'_>) -> Result<Conversion, Error> {
    let target = listed("reserve.resources", &wire.resources, who)?;
    for resource in &target {
        reservable(resource, who)?;
    }
    if wire.source.is_empty() {
        return Ok(Conversion::reserve(&target));
    }
    let Who::Operator { .. } = who else { return Err(Error::Source) };
    let source = listed("reserve.source", &wire.source, who)?;
    for resource in &source {
        if resource.kind.is_persistent_volume() {
            return Err(Error::IsVolume(shown(resource)));
        }
    }
    let conversion = Conversion::reserve_from(&source, &target);
    if conversion.conserves() {
        Ok(conversion)
    } else {
        Err(Error::Unequal { source_sum: source, target })
    }
}

fn reservable(resource: &Resource, who: Who<'_>) -> Result<(), Error> {
    let kind = &resource.kind;
    let Some(Reservation { kind: ReservationType::Dynamic, role: to, principal, .. }) =
        kind.reservations.last()
    else {
        return Err(Error::NotDynamic(shown(resource)));
    };
    if kind.is_persistent_volume() {
        return Err(Error::IsVolume(shown(resource)));
    }
    if kind.revocable {
        return Err(Error::Revocable(shown(resource)));
    }
    if let Who::Framework { role, refinement, .. } = who {
        // Who may use what is offered to a role may keep a part of it for those
        // below, but not for others.
        if !role::may_use(to, role) {
            let (name, to) = (kind.name.to_string(), to.to_string());
            return Err(Error::ForeignRole { name, to, role: role.to_owned() });
        }
        if kind.is_refined() && !refinement {
            return Err(Error::Refinement { name: kind.name.to_string(), to: to.to_string() });
        }
    }
    check_principal(|| format!("the reservation of {}", shown(resource)), principal.as_deref(), who)
}

fn unreserve(wire: &operation::Unreserve, who: Who<'_>) -> Result<Conversion, Error> {
    let reserved = listed("unreserve.resources", &wire.resources, who)?;
    for resource in &reserved {
        let kind = &resource.kind;
        if kind.is_persistent_volume() {
            return Err(Error::IsVolume(shown(resource)));
        }
        if kind.reservations.last().is_none_or(|level| level.kind != ReservationType::Dynamic) {
            return Err(Error::NotDynamic(shown(resource)));
        }
    }
    Ok(Conversion::unreserve(&reserved))
}

fn create(wire: &operation::Create, who: Who<'_>, site: Site<'_>) -> Result<Conversion, Error> {
    let volumes = listed("create.volumes", &wire.volumes, who)?;
    for volume in &volumes {
        creatable(volume, who, site)?;
    }
    Ok(Conversion::create(&volumes))
}

fn creatable(resource: &Resource, who: Who<'_>, site: Site<'_>) -> Result<(), Error> {
    let kind = &resource.kind;
    let (Some(disk), Some(id)) = (&kind.disk, kind.volume_id()) else {
        return Err(Error::NoVolume(shown(resource)));
    };
    let name = || id.to_owned();
    if &*kind.name != "disk" || !matches!(resource.value, Value::Scalar(_)) {
        return Err(Error::NoDisk(kind.name.to_string()));
    }
    if let Some(volume) = &disk.volume {
        if volume.host_path.is_some() {
            return Err(Error::HostPath(name()));
        }
        if volume.container_path.is_empty() {
            return Err(Error::ContainerPath(name()));
        }
        if volume.mode == VolumeMode::ReadOnly {
            return Err(Error::ReadOnly(name()));
        }
    }
    match disk.source.as_ref().map(|source| source.kind) {
        None | Some(SourceType::Path | SourceType::Mount) => {}
        Some(SourceType::Block | SourceType::Raw) => return Err(Error::DiskSource(name())),
    }
    if matches!(who, Who::Framework { shared: false, .. }) && kind.shared {
        return Err(Error::SharedUnable(name()));
    }
    let role = kind.reserved_to().unwrap_or(role::ANY);
    if site
        .total
        .iter()
        .any(|known| known.kind.volume_id() == Some(id) && known.kind.reserved_to() == Some(role))
    {
        return Err(Error::VolumeExists { id: name(), role: role.to_owned() });
    }
    let said = disk.persistence.as_ref().and_then(|it| it.principal.as_deref());
    check_principal(|| format!("the persistent volume '{id}'"), said, who)
}

fn destroy(wire: &operation::Destroy, who: Who<'_>, site: Site<'_>) -> Result<Conversion, Error> {
    let volumes = listed("destroy.volumes", &wire.volumes, who)?.aligned_with(site.total);
    for volume in &volumes {
        idle(volume, site)?;
    }
    Ok(Conversion::destroy(&volumes))
}

/// A volume of this agent that nobody uses.
fn idle(resource: &Resource, site: Site<'_>) -> Result<(), Error> {
    let Some(id) = resource.kind.volume_id() else {
        return Err(Error::NoVolume(shown(resource)));
    };
    let volume = Resources::from(resource.clone());
    if !site.total.contains(&volume) {
        return Err(Error::NoSuchVolume(id.to_owned()));
    }
    if site.used.contains(&volume) {
        return Err(Error::InUse(id.to_owned()));
    }
    Ok(())
}

/// The one resource in a field that is not a list.
fn single(
    field: &'static str,
    wire: &v1::Resource,
    who: Who<'_>,
    site: Site<'_>,
) -> Result<Resource, Error> {
    let resources = listed(field, std::slice::from_ref(wire), who)?.aligned_with(site.total);
    resources.iter().next().cloned().ok_or(Error::Empty(field))
}

fn resizable(volume: &Resource, site: Site<'_>) -> Result<(), Error> {
    idle(volume, site)?;
    let id = || volume.kind.volume_id().unwrap_or_default().to_owned();
    if volume.kind.shared {
        return Err(Error::ResizeShared(id()));
    }
    let source = |kind: &Kind| Some(kind.disk.as_ref()?.source.as_ref()?.kind);
    match source(&volume.kind) {
        None | Some(SourceType::Path) => Ok(()),
        Some(SourceType::Mount | SourceType::Block | SourceType::Raw) => {
            Err(Error::ResizeMount(id()))
        }
    }
}

fn grow(wire: &operation::GrowVolume, who: Who<'_>, site: Site<'_>) -> Result<Conversion, Error> {
    let operation::GrowVolume { volume, addition } = wire;
    let volume = single("grow_volume.volume", volume, who, site)?;
    resizable(&volume, site)?;
    let addition = single("grow_volume.addition", addition, who, site)?;
    let other = || Error::Addition(volume.kind.volume_id().unwrap_or_default().to_owned());
    if addition.kind != volume.kind.without_volume() {
        return Err(other());
    }
    Conversion::grow(&volume, &addition).ok_or_else(other)
}

fn shrink(
    wire: &operation::ShrinkVolume,
    who: Who<'_>,
    site: Site<'_>,
) -> Result<Conversion, Error> {
    let operation::ShrinkVolume { volume, subtract } = wire;
    let volume = single("shrink_volume.volume", volume, who, site)?;
    resizable(&volume, site)?;
    let by = Quantity::from_f64(subtract.value).map_err(Error::Subtract)?;
    Conversion::shrink(&volume, by).ok_or_else(|| {
        let size = Resources::from(volume.clone()).scalar(&volume.kind.name);
        Error::SubtractRange { by, size }
    })
}

/// What operations have turned a total into, as agents and readers are told.
pub fn to_wire(resources: &Resources) -> Vec<v1::Resource> {
    convert::resources_to_wire(resources, convert::Format::Refined)
}
