//! What a task wants of its container, understood and checked. Pure.
#![deny(clippy::disallowed_methods)]

mod docker;
mod linux;
mod volume;

use karman_api::mesos::v1::container_info::{MesosInfo, Type};
use karman_api::mesos::v1::image;
use karman_api::mesos::v1::secret;
use karman_api::mesos::v1::{ContainerInfo, Image, NetworkInfo, Secret, TtyInfo};
use karman_container::spec::{Capabilities, Device, Mount, Rlimit, Seccomp, Size};
use karman_image::{Auth, Reference};

pub use volume::{From, Volume};

use super::Refusal;

/// Of the terminal of a task that does not say how large it is.
const SIDE_MAX: u32 = 1 << 15;

/// The container of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its files are the machine's if absent.
    pub image: Option<Wanted>,
    pub volumes: Vec<Volume>,
    /// Those that come from nowhere.
    pub mounts: Vec<Mount>,
    pub hostname: Option<String>,
    /// A loopback and nothing else.
    pub without_network: bool,
    /// Processes and shared memory of the parent, or of the machine.
    pub shares_pids: bool,
    pub shares_memory: bool,
    pub shm_bytes: Option<u64>,
    pub capabilities: Capabilities,
    pub seccomp: Seccomp,
    pub no_new_privileges: bool,
    /// All devices, and the kernel as the machine sees it.
    pub privileged: bool,
    pub devices: Vec<Device>,
    pub rlimits: Vec<Rlimit>,
    pub terminal: Option<Size>,
    pub read_only: bool,
    pub pids: Option<u64>,
    pub cpuset: Option<String>,
    /// Over what the command says.
    pub command: Overrides,
}

/// What an image says of its command, said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub user: Option<String>,
    pub directory: Option<String>,
    pub entrypoint: Option<String>,
    pub environment: Vec<(String, String)>,
}

/// An image to run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub reference: Reference,
    /// Whether one that is there already will do.
    pub cached: bool,
    pub auth: Auth,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            image: None,
            volumes: Vec::new(),
            mounts: Vec::new(),
            hostname: None,
            without_network: false,
            shares_pids: false,
            shares_memory: false,
            shm_bytes: None,
            capabilities: Capabilities::standard(),
            seccomp: Seccomp::Default,
            no_new_privileges: false,
            privileged: false,
            devices: Vec::new(),
            rlimits: Vec::new(),
            terminal: None,
            read_only: false,
            pids: None,
            cpuset: None,
            command: Overrides::default(),
        }
    }
}

impl Container {
    /// Whether it needs more than a process in a sandbox.
    pub fn needs_root(&self) -> Option<&'static str> {
        let needs = [
            (self.image.is_some(), "Container images"),
            (!self.volumes.is_empty() || !self.mounts.is_empty(), "Volumes"),
            (self.hostname.is_some(), "Host names"),
            (self.without_network, "Networks of their own"),
            (self.privileged, "Privileged containers"),
            (self.capabilities != Capabilities::standard(), "Capabilities"),
            (self.seccomp != Seccomp::Default, "Filters of system calls"),
            (!self.devices.is_empty(), "Devices"),
            (self.pids.is_some() || self.cpuset.is_some(), "Limits of a container"),
        ];
        needs.into_iter().find(|(present, _)| *present).map(|(_, what)| what)
    }
}

/// Understands what a task says of its container.
pub(super) fn container(info: &ContainerInfo) -> Result<Container, Refusal> {
    let ContainerInfo {
        r#type: _,
        volumes,
        hostname,
        docker,
        mesos,
        network_infos,
        linux_info,
        rlimit_info,
        tty_info,
    } = info;
    let mut container = Container { hostname: hostname.clone(), ..Container::default() };
    for volume in volumes {
        container.volumes.push(volume::volume(volume)?);
    }
    networks(network_infos)?;
    if let Some(linux) = linux_info {
        linux::linux(linux, &mut container)?;
    }
    for limit in rlimit_info.iter().flat_map(|info| &info.rlimits) {
        container.rlimits.push(linux::rlimit(limit)?);
    }
    container.terminal = tty_info.as_ref().map(terminal).transpose()?;
    match (info.r#type(), docker, mesos) {
        (Type::Docker, Some(docker), _) => docker::docker(docker, &mut container)?,
        (Type::Docker, None, _) => {
            return Err(Refusal::invalid("A container of type DOCKER needs 'docker'"));
        }
        (Type::Mesos, Some(_), _) => {
            return Err(Refusal::invalid("A container of type MESOS cannot have 'docker'"));
        }
        (Type::Mesos, None, Some(MesosInfo { image: Some(image) })) => {
            container.image = Some(wanted(image)?);
        }
        (Type::Mesos, None, _) => {}
    }
    Ok(container)
}

/// An image of a container or a volume.
pub(super) fn wanted(image: &Image) -> Result<Wanted, Refusal> {
    let Image { r#type: _, appc: _, docker, cached: _ } = image;
    let (image::Type::Docker, Some(image::Docker { name, config, .. })) = (image.r#type(), docker)
    else {
        return Err(Refusal::failed("Only images of type DOCKER can be run by this agent"));
    };
    let auth = match config {
        Some(config) => auth(config)?,
        None => Auth::default(),
    };
    Ok(Wanted { reference: reference(name)?, cached: image.cached(), auth })
}

fn reference(name: &str) -> Result<Reference, Refusal> {
    name.parse()
        .map_err(|error| Refusal::invalid(format!("Container image '{name}' is none: {error}")))
}

fn auth(config: &Secret) -> Result<Auth, Refusal> {
    let bytes = value(config, "The credentials of the image")?;
    Auth::from_docker_config(bytes).map_err(|error| {
        Refusal::invalid(format!("The credentials of the image cannot be read: {error}"))
    })
}

/// The text of a secret that comes with the task.
fn value<'a>(secret: &'a Secret, what: &str) -> Result<&'a [u8], Refusal> {
    match (secret.r#type(), &secret.value) {
        (secret::Type::Value | secret::Type::Unknown, Some(value)) => Ok(&value.data),
        _ => Err(Refusal::failed(format!(
            "{what} refer to a secret; this agent takes secrets by value only"
        ))),
    }
}

fn networks(networks: &[NetworkInfo]) -> Result<(), Refusal> {
    let named = networks.iter().find_map(|network| network.name.as_ref());
    match named {
        Some(name) => Err(Refusal::failed(format!(
            "The container network '{name}' is not there: tasks of this agent use the machine's network"
        ))),
        None => Ok(()),
    }
}

fn terminal(info: &TtyInfo) -> Result<Size, Refusal> {
    let Some(size) = &info.window_size else { return Ok(Size::default()) };
    let side = |length: u32| {
        u16::try_from(length).ok().filter(|_| length < SIDE_MAX).ok_or_else(|| {
            Refusal::invalid(format!("A terminal cannot have {length} rows or columns"))
        })
    };
    Ok(Size { rows: side(size.rows)?, columns: side(size.columns)? })
}

#[cfg(test)]
mod tests;
