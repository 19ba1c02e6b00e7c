//! Containers of type DOCKER, which run like all others: there is no Docker
//! daemon. Parameters are options of `docker run` by their long names. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::PathBuf;

use karman_api::mesos::v1::Parameter;
use karman_api::mesos::v1::container_info::DockerInfo;
use karman_api::mesos::v1::container_info::docker_info::Network;
use karman_container::spec::{
    Capabilities, Capability, Mount, MountOption, Resource, Rlimit, Seccomp, Source,
};
use karman_image::Auth;

use super::volume::{self, From, Volume};
use super::{Container, Wanted, reference};
use crate::admit::Refusal;

/// Of a `tmpfs` that does not say.
const TMPFS_MODE: u32 = 0o1777;

/// Options that change nothing here.
const WITHOUT_EFFECT: [&str; 6] = ["label", "log-driver", "log-opt", "name", "init", "rm"];

#[expect(deprecated, reason = "still said by many apps")]
pub(super) fn docker(info: &DockerInfo, container: &mut Container) -> Result<(), Refusal> {
    let DockerInfo {
        image,
        network: _,
        port_mappings,
        privileged,
        parameters,
        force_pull_image,
        volume_driver,
    } = info;
    let cached = !force_pull_image.unwrap_or(false);
    let auth = Auth::default();
    container.image = Some(Wanted { reference: reference(image)?, cached, auth });
    if volume_driver.is_some() {
        return Err(Refusal::failed("Docker volume drivers are not run by this agent"));
    }
    match info.network() {
        Network::Host => {}
        Network::None => container.without_network = true,
        Network::Bridge | Network::User => {
            return Err(Refusal::failed(
                "Networks of containers are not there yet: use network HOST, and serve at $PORT0",
            ));
        }
    }
    if !port_mappings.is_empty() {
        return Err(Refusal::failed("Ports can be mapped on network BRIDGE or USER only"));
    }
    if privileged.unwrap_or(false) {
        container.privileged = true;
        container.capabilities = Capabilities::Set { effective: None, bounding: Capability::all() };
        container.seccomp = Seccomp::Unconfined;
    }
    parameters.iter().try_for_each(|it| parameter(it, container))
}

fn parameter(it: &Parameter, container: &mut Container) -> Result<(), Refusal> {
    let Parameter { key, value } = it;
    match key.as_str() {
        "cap-add" => right(value, container, true),
        "cap-drop" => right(value, container, false),
        "cpuset-cpus" => {
            container.cpuset = Some(value.clone());
            Ok(())
        }
        "entrypoint" => set(&mut container.command.entrypoint, value),
        "env" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            container.command.environment.push((name.to_owned(), value.to_owned()));
            Ok(())
        }
        "hostname" => set(&mut container.hostname, value),
        "ipc" if value == "host" => yes(&mut container.shares_memory),
        "pid" if value == "host" => yes(&mut container.shares_pids),
        "pids-limit" => {
            container.pids = Some(number(key, value)?);
            Ok(())
        }
        "privileged" if value == "true" => {
            Err(Refusal::invalid("Give 'privileged' in 'docker', not as a parameter"))
        }
        "read-only" => {
            container.read_only = value != "false";
            Ok(())
        }
        "security-opt" => security(value, container),
        "shm-size" => {
            container.shm_bytes = Some(bytes(key, value)?);
            Ok(())
        }
        "tmpfs" => tmpfs(value, container),
        "ulimit" => ulimit(value, container),
        "user" => set(&mut container.command.user, value),
        "volume" => bind(value, container),
        "workdir" => set(&mut container.command.directory, value),
        other if WITHOUT_EFFECT.contains(&other) => Ok(()),
        _ => Err(Refusal::failed(format!(
            "The Docker parameter '{key}={value}' means nothing to this agent; take it out"
        ))),
    }
}

fn set(slot: &mut Option<String>, value: &str) -> Result<(), Refusal> {
    *slot = Some(value.to_owned());
    Ok(())
}

fn yes(slot: &mut bool) -> Result<(), Refusal> {
    *slot = true;
    Ok(())
}

fn right(name: &str, container: &mut Container, add: bool) -> Result<(), Refusal> {
    let named = match name {
        "ALL" | "all" => Capability::all(),
        name => {
            let named = Capability::named(name);
            [named.map_err(|error| Refusal::invalid(error.to_string()))?].into()
        }
    };
    if let Capabilities::Set { bounding, .. } = &mut container.capabilities {
        for capability in named {
            if add {
                bounding.insert(capability)
            } else {
                bounding.remove(&capability)
            };
        }
    }
    Ok(())
}

fn security(value: &str, container: &mut Container) -> Result<(), Refusal> {
    match value.replace(':', "=").as_str() {
        "no-new-privileges" | "no-new-privileges=true" => yes(&mut container.no_new_privileges),
        "no-new-privileges=false" => Ok(()),
        "seccomp=unconfined" => {
            container.seccomp = Seccomp::Unconfined;
            Ok(())
        }
        // There is none of these to take away.
        "apparmor=unconfined" | "label=disable" => Ok(()),
        _ => Err(Refusal::failed(format!(
            "The Docker parameter 'security-opt={value}' means nothing to this agent; take it out"
        ))),
    }
}

/// `/path` or `/path:size=64m,mode=1777,noexec`.
fn tmpfs(value: &str, container: &mut Container) -> Result<(), Refusal> {
    let (path, given) = value.split_once(':').unwrap_or((value, ""));
    let target = volume::place(path)?;
    let (mut size, mut mode) = (None, TMPFS_MODE);
    let mut options = vec![MountOption::NoSuid, MountOption::NoDev];
    let mut read_only = false;
    for option in given.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", text) => size = Some(bytes("tmpfs", text)?),
            ("mode", text) => {
                mode = u32::from_str_radix(text, 8).map_err(|_| unreadable("tmpfs", text))?;
            }
            ("noexec", _) => options.push(MountOption::NoExec),
            ("ro", _) => read_only = true,
            ("rw" | "exec" | "nosuid" | "nodev", _) => {}
            _ => return Err(unreadable("tmpfs", option)),
        }
    }
    let source = Source::Tmpfs { bytes: size, mode };
    container.mounts.push(Mount { source, target, read_only, recursive: false, options });
    Ok(())
}

/// `nofile=1024:2048`, or one number for both.
fn ulimit(value: &str, container: &mut Container) -> Result<(), Refusal> {
    let (name, limits) = value.split_once('=').ok_or_else(|| unreadable("ulimit", value))?;
    let resource =
        Resource::named(&name.to_ascii_uppercase()).ok_or_else(|| unreadable("ulimit", value))?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let side = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        text => number("ulimit", text).map(Some),
    };
    container.rlimits.push(Rlimit { resource, soft: side(soft)?, hard: side(hard)? });
    Ok(())
}

/// `/on/machine:/in/container` with `:ro` or `:rw`.
fn bind(value: &str, container: &mut Container) -> Result<(), Refusal> {
    let mut parts = value.split(':');
    let (from, at, mode) = (parts.next(), parts.next(), parts.next());
    let (Some(from), Some(at)) = (from.filter(|from| from.starts_with('/')), at) else {
        return Err(Refusal::failed(format!(
            "The Docker parameter 'volume={value}' names a volume of Docker; only host paths are there"
        )));
    };
    let read_only = mode.is_some_and(|mode| mode.split(',').any(|option| option == "ro"));
    let from = From::Machine(PathBuf::from(from));
    container.volumes.push(Volume { at: volume::place(at)?, read_only, from });
    Ok(())
}

fn number(key: &str, text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| unreadable(key, text))
}

/// `64m`, as Docker takes sizes: powers of 1024.
fn bytes(key: &str, text: &str) -> Result<u64, Refusal> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match lower.get(digits.len()..).unwrap_or_default() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(unreadable(key, text)),
    };
    let count: u64 = number(key, digits)?;
    count.checked_mul(1 << shift).ok_or_else(|| unreadable(key, text))
}

fn unreadable(key: &str, text: &str) -> Refusal {
    Refusal::invalid(format!("The Docker parameter '{key}' cannot be '{text}'"))
}
