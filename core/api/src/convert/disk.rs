//! `Resource.disk`.
#![deny(clippy::disallowed_methods)]

use karman_model::resource::{Disk, Persistence, Source, SourceType, Volume, VolumeMode};

use super::value::{labels_from_wire, labels_to_wire};
use super::{Error, Problem, error};
use crate::mesos::v1;
use crate::mesos::v1::resource::disk_info;
use crate::mesos::v1::resource::disk_info::source;
use crate::mesos::v1::volume;

pub(super) fn from_wire(name: &str, disk: &v1::resource::DiskInfo) -> Result<Disk, Error> {
    let v1::resource::DiskInfo { persistence, volume, source } = disk;
    Ok(Disk {
        persistence: persistence.as_ref().map(|disk_info::Persistence { id, principal }| {
            Persistence { id: id.clone(), principal: principal.clone() }
        }),
        volume: volume.as_ref().map(|volume| volume_from_wire(name, volume)).transpose()?,
        source: source.as_ref().map(|source| source_from_wire(name, source)).transpose()?,
    })
}

fn volume_from_wire(name: &str, volume: &v1::Volume) -> Result<Volume, Error> {
    let v1::Volume { mode, container_path, host_path, image, source } = volume;
    if image.is_some() || source.is_some() {
        return Err(error(name, "disk.volume", Problem::Unsupported));
    }
    let mode = match volume::Mode::try_from(*mode) {
        Ok(volume::Mode::Rw) => VolumeMode::ReadWrite,
        Ok(volume::Mode::Ro) => VolumeMode::ReadOnly,
        Err(_) => return Err(error(name, "disk.volume.mode", Problem::Unsupported)),
    };
    Ok(Volume { container_path: container_path.clone(), host_path: host_path.clone(), mode })
}

fn source_from_wire(name: &str, source: &disk_info::Source) -> Result<Source, Error> {
    let disk_info::Source { r#type, path, mount, vendor, id, metadata, profile } = source;
    let kind = match source::Type::try_from(*r#type) {
        Ok(source::Type::Path) => SourceType::Path,
        Ok(source::Type::Mount) => SourceType::Mount,
        Ok(source::Type::Block) => SourceType::Block,
        Ok(source::Type::Raw) => SourceType::Raw,
        Ok(source::Type::Unknown) | Err(_) => {
            return Err(error(name, "disk.source.type", Problem::Unsupported));
        }
    };
    let root = match kind {
        SourceType::Path => path.as_ref().and_then(|source::Path { root }| root.clone()),
        SourceType::Mount => mount.as_ref().and_then(|source::Mount { root }| root.clone()),
        SourceType::Block | SourceType::Raw => None,
    };
    Ok(Source {
        kind,
        root,
        vendor: vendor.clone(),
        id: id.clone(),
        metadata: labels_from_wire(metadata.as_ref()),
        profile: profile.clone(),
    })
}

pub(super) fn to_wire(disk: &Disk) -> v1::resource::DiskInfo {
    let Disk { persistence, volume, source } = disk;
    v1::resource::DiskInfo {
        persistence: persistence.as_ref().map(|Persistence { id, principal }| {
            disk_info::Persistence { id: id.clone(), principal: principal.clone() }
        }),
        volume: volume.as_ref().map(volume_to_wire),
        source: source.as_ref().map(source_to_wire),
    }
}

fn volume_to_wire(volume: &Volume) -> v1::Volume {
    let Volume { container_path, host_path, mode } = volume;
    let mode = match mode {
        VolumeMode::ReadWrite => volume::Mode::Rw,
        VolumeMode::ReadOnly => volume::Mode::Ro,
    };
    v1::Volume {
        mode: mode.into(),
        container_path: container_path.clone(),
        host_path: host_path.clone(),
        image: None,
        source: None,
    }
}

fn source_to_wire(source: &Source) -> disk_info::Source {
    let Source { kind, root, vendor, id, metadata, profile } = source;
    let (r#type, path, mount) = match kind {
        SourceType::Path => {
            (source::Type::Path, root.clone().map(|root| source::Path { root: Some(root) }), None)
        }
        SourceType::Mount => {
            (source::Type::Mount, None, root.clone().map(|root| source::Mount { root: Some(root) }))
        }
        SourceType::Block => (source::Type::Block, None, None),
        SourceType::Raw => (source::Type::Raw, None, None),
    };
    disk_info::Source {
        r#type: r#type.into(),
        path,
        mount,
        vendor: vendor.clone(),
        id: id.clone(),
        metadata: labels_to_wire(metadata),
        profile: profile.clone(),
    }
}
