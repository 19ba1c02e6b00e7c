//! A plan, its image and its place on this machine, put together to the container
//! that the shim makes. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use karman_container::Spec;
use karman_container::cgroup::Group;
use karman_container::spec::{
    Devices, Mount, MountOption, Namespace, Namespaces, Network, Process, Root, Source, User,
};
use karman_image::Config;

use super::container::{Container, From, Volume};
use super::{Link, Plan};

/// Where a task finds its sandbox if its files are those of an image, as the
/// original has it.
pub const SANDBOX: &str = "/mnt/mesos/sandbox";

/// Where commands are searched in an image that does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that was brought here.
#[derive(Clone, Copy, Debug)]
pub struct Stacked<'a> {
    pub config: &'a Config,
    /// The topmost first.
    pub layers: &'a [PathBuf],
}

/// What of the machine is this container's.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whether the agent may make namespaces.
    pub root: bool,
    pub sandbox: &'a Path,
    /// Of the executor, around that of the task.
    pub parent: Option<&'a Path>,
    /// For what the container writes into an image.
    pub files: &'a Path,
    /// Of the machine, which tasks must not see.
    pub hidden: &'a [PathBuf],
    pub group: Option<&'a Group>,
    /// The files with the secrets, in the order of the volumes that have some.
    pub secrets: &'a [PathBuf],
    /// The layers of the volumes that are images, in their order.
    pub images: &'a [Vec<PathBuf>],
}

/// Why a plan cannot become a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("The task has no command, and its image names none")]
    NoCommand,
    #[error("A volume of the task is not there")]
    NoVolume,
}

/// Where files of the image lie on the machine.
pub fn upper(files: &Path) -> PathBuf {
    files.join("upper")
}

pub fn work(files: &Path) -> PathBuf {
    files.join("work")
}

pub fn compose(plan: &Plan, place: &Place<'_>, image: Option<&Stacked<'_>>) -> Result<Spec, Error> {
    let container = &plan.container;
    let process = process(plan, place, image)?;
    let user = user_name(plan, image).map_or(User::Own, User::Named);
    let limits = place.group.map(|_| {
        let mut limits = plan.limits.clone();
        (limits.pids, limits.cpuset) = (container.pids, container.cpuset.clone());
        limits
    });
    let common = Spec {
        user,
        rlimits: container.rlimits.clone(),
        group: place.group.cloned(),
        limits,
        ..Spec::plain(process)
    };
    if !place.root {
        return Ok(common);
    }
    Ok(Spec {
        root: root(container, place, image),
        mounts: mounts(plan, place, image.is_some())?,
        hidden: if image.is_some() { Vec::new() } else { place.hidden.to_vec() },
        namespaces: namespaces(container),
        hostname: container.hostname.clone(),
        capabilities: container.capabilities.clone(),
        seccomp: container.seccomp.clone(),
        no_new_privileges: container.no_new_privileges,
        kernel_masked: !container.privileged,
        devices: if container.privileged {
            Devices::All
        } else {
            Devices::Only(container.devices.clone())
        },
        ..common
    })
}

fn process(plan: &Plan, place: &Place<'_>, image: Option<&Stacked<'_>>) -> Result<Process, Error> {
    let Container { command, terminal, .. } = &plan.container;
    let (program, arguments) = match image {
        Some(image) => in_image(plan, command.entrypoint.as_deref(), image.config)?,
        None => (plan.program.clone(), plan.arguments.clone()),
    };
    let said = command.directory.as_deref().or(image.and_then(|it| it.config.directory.as_deref()));
    let home = if image.is_some() { Path::new(SANDBOX) } else { place.sandbox };
    let directory = match said.filter(|_| image.is_some()) {
        Some(directory) => Path::new("/").join(directory),
        None => home.to_owned(),
    };
    Ok(Process {
        program,
        arguments,
        environment: environment(plan, image),
        directory,
        terminal: *terminal,
    })
}

/// What the image says stands before what the task says, and is all of it where
/// the task says nothing.
fn in_image(
    plan: &Plan,
    entrypoint: Option<&str>,
    config: &Config,
) -> Result<(String, Vec<String>), Error> {
    if !plan.program.is_empty() {
        return Ok((plan.program.clone(), plan.arguments.clone()));
    }
    let own = entrypoint.filter(|own| !own.is_empty()).map(|own| vec![own.to_owned()]);
    let mut line = own.unwrap_or_else(|| config.entrypoint.clone());
    let given = &plan.arguments;
    match (line.is_empty(), given.is_empty()) {
        (_, true) if entrypoint.is_none() => line.extend(config.command.iter().cloned()),
        (true, false) if entrypoint.is_none() => {
            line.extend(config.command.first().cloned());
            line.extend(given.iter().cloned());
        }
        _ => line.extend(given.iter().cloned()),
    }
    let program = line.first().filter(|program| !program.is_empty()).cloned();
    Ok((program.ok_or(Error::NoCommand)?, line))
}

/// The image's, then the task's.
fn environment(plan: &Plan, image: Option<&Stacked<'_>>) -> Vec<(String, String)> {
    let Some(image) = image else { return plan.environment.clone() };
    let mut all = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    all.extend(image.config.environment.iter().cloned());
    all.extend(plan.container.command.environment.iter().cloned());
    all.extend(plan.environment.iter().cloned());
    all.into_iter().collect()
}

/// Who is named by the task, by its image, or by its framework.
pub fn user_name(plan: &Plan, image: Option<&Stacked<'_>>) -> Option<String> {
    let of_image = image.and_then(|image| image.config.user.as_deref());
    let named = plan.container.command.user.as_deref().or(plan.named_user.as_deref());
    let name = named.or(of_image.filter(|name| !name.is_empty())).or(plan.user.as_deref());
    name.map(ToOwned::to_owned)
}

fn root(container: &Container, place: &Place<'_>, image: Option<&Stacked<'_>>) -> Root {
    match image {
        Some(image) => Root::Image {
            lower: image.layers.to_vec(),
            upper: upper(place.files),
            work: work(place.files),
            read_only: container.read_only,
        },
        None => Root::Host,
    }
}

fn namespaces(container: &Container) -> Namespaces {
    let mut namespaces = Namespaces::own();
    if container.shares_pids {
        namespaces.pid = Namespace::Shared;
    }
    if container.shares_memory {
        namespaces.ipc = Namespace::Shared;
    }
    if container.hostname.is_none() {
        namespaces.uts = Namespace::Shared;
    }
    if container.without_network {
        namespaces.network = Network::Own;
    }
    namespaces
}

fn mounts(plan: &Plan, place: &Place<'_>, image: bool) -> Result<Vec<Mount>, Error> {
    let container = &plan.container;
    let home = if image { Path::new(SANDBOX) } else { place.sandbox };
    let mut all = vec![bind(Source::Bind(place.sandbox.to_owned()), home.to_owned(), false)];
    if let Some(bytes) = container.shm_bytes {
        let options = vec![MountOption::NoSuid, MountOption::NoDev, MountOption::NoExec];
        let (source, target) = (Source::Shm { bytes: Some(bytes) }, PathBuf::from("/dev/shm"));
        all.push(Mount { source, target, read_only: false, recursive: false, options });
    }
    // A link in the sandbox leads there, from inside as from outside.
    for Link { at: _, volume, own: _, read_only } in &plan.links {
        all.push(bind(Source::Bind(volume.clone()), volume.clone(), *read_only));
    }
    let (mut secrets, mut images) = (place.secrets.iter(), place.images.iter());
    for Volume { at, read_only, from } in &container.volumes {
        let source = match from {
            From::Machine(path) => Source::Bind(path.clone()),
            From::Sandbox(path) => below(place.sandbox, path),
            From::Parent(path) => below(place.parent.unwrap_or(place.sandbox), path),
            From::Image(_) => Source::Image(images.next().ok_or(Error::NoVolume)?.clone()),
            From::Secret(_) => Source::Bind(secrets.next().ok_or(Error::NoVolume)?.clone()),
        };
        all.push(bind(source, home.join(at), *read_only));
    }
    all.extend(container.mounts.iter().cloned());
    Ok(all)
}

fn below(folder: &Path, path: &Path) -> Source {
    Source::Below { folder: folder.to_owned(), path: path.to_owned() }
}

fn bind(source: Source, target: PathBuf, read_only: bool) -> Mount {
    Mount { source, target, read_only, recursive: true, options: vec![MountOption::NoDev] }
}

#[cfg(test)]
mod tests;
