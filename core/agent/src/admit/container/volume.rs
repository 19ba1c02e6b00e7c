//! Volumes of a container that no operation made. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::{Component, Path, PathBuf};

use karman_api::mesos::v1 as wire;
use karman_api::mesos::v1::volume::source::sandbox_path;
use karman_api::mesos::v1::volume::source::{HostPath, SandboxPath, Type};
use karman_api::mesos::v1::volume::{Mode, Source};

use super::Wanted;
use crate::admit::Refusal;

/// Something in a place of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Absolute, or relative to the sandbox.
    pub at: PathBuf,
    pub read_only: bool,
    pub from: From,
}

/// Where it comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum From {
    /// A file or folder of the machine.
    Machine(PathBuf),
    /// A folder of the sandbox; made where it is missing.
    Sandbox(PathBuf),
    /// A folder of the sandbox that is around this one's: tasks of a group share
    /// it. Made where it is missing.
    Parent(PathBuf),
    /// The files of an image.
    Image(Wanted),
    /// A file with this in it, which never reaches a disk.
    Secret(Vec<u8>),
}

impl std::fmt::Debug for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Machine(path) => f.debug_tuple("Machine").field(path).finish(),
            Self::Sandbox(path) => f.debug_tuple("Sandbox").field(path).finish(),
            Self::Parent(path) => f.debug_tuple("Parent").field(path).finish(),
            Self::Image(wanted) => f.debug_tuple("Image").field(wanted).finish(),
            Self::Secret(_) => f.write_str("Secret"),
        }
    }
}

pub(super) fn volume(volume: &wire::Volume) -> Result<Volume, Refusal> {
    let wire::Volume { mode: _, container_path, host_path, image, source } = volume;
    let at = place(container_path)?;
    let from = match (host_path, image, source) {
        (Some(path), None, None) => on_machine(path)?,
        (None, Some(image), None) => From::Image(super::wanted(image)?),
        (None, None, Some(source)) => from(source, container_path)?,
        (None, None, None) => {
            return Err(Refusal::invalid(format!(
                "Volume '{container_path}' comes from nowhere: give 'source', 'host_path' or 'image'"
            )));
        }
        _ => {
            return Err(Refusal::invalid(format!(
                "Volume '{container_path}' comes from several places: give one of 'source', 'host_path' and 'image'"
            )));
        }
    };
    Ok(Volume { at, read_only: volume.mode() == Mode::Ro, from })
}

fn from(source: &Source, at: &str) -> Result<From, Refusal> {
    let lacks = |what: &str| Refusal::invalid(format!("Volume '{at}' has no '{what}'"));
    match source.r#type() {
        Type::HostPath => {
            let HostPath { path, mount_propagation: _ } =
                source.host_path.as_ref().ok_or_else(|| lacks("host_path"))?;
            on_machine(path)
        }
        Type::SandboxPath => {
            let sandbox = source.sandbox_path.as_ref().ok_or_else(|| lacks("sandbox_path"))?;
            in_sandbox(sandbox, at)
        }
        Type::Secret => {
            let secret = source.secret.as_ref().ok_or_else(|| lacks("secret"))?;
            let value = super::value(secret, "Volumes")?;
            Ok(From::Secret(value.to_vec()))
        }
        Type::DockerVolume => Err(Refusal::failed(format!(
            "Volume '{at}' needs a Docker volume driver, which this agent does not run; use a CSI plugin or a host path"
        ))),
        Type::CsiVolume => Err(Refusal::failed(format!(
            "Volume '{at}' needs a CSI plugin, of which this agent has none"
        ))),
        Type::Unknown => Err(lacks("type")),
    }
}

/// As the original: a path that is not absolute lies in the sandbox.
fn on_machine(path: &str) -> Result<From, Refusal> {
    if path.starts_with('/') {
        return Ok(From::Machine(PathBuf::from(path)));
    }
    Ok(From::Sandbox(inside(path)?))
}

fn in_sandbox(sandbox: &SandboxPath, at: &str) -> Result<From, Refusal> {
    let path = inside(&sandbox.path)?;
    match sandbox.r#type() {
        sandbox_path::Type::Self_ => Ok(From::Sandbox(path)),
        sandbox_path::Type::Parent => Ok(From::Parent(path)),
        sandbox_path::Type::Unknown => Err(Refusal::invalid(format!(
            "Volume '{at}' does not say whose sandbox it is in: SELF or PARENT"
        ))),
    }
}

/// A path that stays where it begins.
fn inside(path: &str) -> Result<PathBuf, Refusal> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || path.contains('\0') || !plain {
        return Err(Refusal::invalid(format!(
            "'{path}' must be a path within the sandbox, without '..'"
        )));
    }
    Ok(PathBuf::from(path))
}

pub(super) fn place(path: &str) -> Result<PathBuf, Refusal> {
    let mut parts = Path::new(path).components();
    let fits = |part| matches!(part, Component::Normal(_));
    let rest_fits = match parts.next() {
        Some(Component::RootDir) => parts.clone().next().is_some() && parts.all(fits),
        Some(Component::Normal(_)) => parts.all(fits),
        _ => false,
    };
    if !rest_fits || path.contains('\0') {
        return Err(Refusal::invalid(format!(
            "'{path}' is no place for a volume: give a path without '..', absolute or relative to the sandbox"
        )));
    }
    Ok(PathBuf::from(path))
}
