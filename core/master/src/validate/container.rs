//! The rules for commands and containers.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_api::mesos::v1::{container_info, environment, secret, volume};

/// Why a command or a container is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("command.environment: variable '{0}' of type VALUE must have a value")]
    NoValue(String),
    #[error("command.environment: variable '{0}' of type VALUE must not have a secret")]
    ValueAndSecret(String),
    #[error("command.environment: variable '{0}' of type SECRET must have a secret and no value")]
    NoSecret(String),
    #[error(
        "command.environment: variable '{0}' has a secret that is neither a reference nor a value"
    )]
    Secret(String),
    #[error("command.environment: a variable has no name")]
    NoName,
    #[error("container of type DOCKER must have 'docker' set")]
    NoDocker,
    #[error("container of type MESOS must not have 'docker' set")]
    DockerInMesos,
    #[error("container.volumes: 'container_path' must not be empty")]
    ContainerPath,
    #[error("container.volumes: '{0}' must have only one of 'host_path', 'image' and 'source'")]
    Sources(String),
    #[error("container.volumes: the source of '{path}' is of type {kind} and does not say which")]
    Source { path: String, kind: &'static str },
}

pub fn check_command(command: &v1::CommandInfo) -> Result<(), Error> {
    let Some(v1::Environment { variables }) = &command.environment else { return Ok(()) };
    for variable in variables {
        let name = || variable.name.clone();
        if variable.name.is_empty() {
            return Err(Error::NoName);
        }
        match variable.r#type() {
            environment::variable::Type::Value if variable.secret.is_some() => {
                return Err(Error::ValueAndSecret(name()));
            }
            environment::variable::Type::Value if variable.value.is_none() => {
                return Err(Error::NoValue(name()));
            }
            environment::variable::Type::Secret => {
                let secret = variable.secret.as_ref().filter(|_| variable.value.is_none());
                let secret = secret.ok_or_else(|| Error::NoSecret(name()))?;
                let says_which = match secret.r#type() {
                    secret::Type::Reference => secret.reference.is_some() && secret.value.is_none(),
                    secret::Type::Value => secret.value.is_some() && secret.reference.is_none(),
                    secret::Type::Unknown => false,
                };
                if !says_which {
                    return Err(Error::Secret(name()));
                }
            }
            environment::variable::Type::Value | environment::variable::Type::Unknown => {}
        }
    }
    Ok(())
}

pub fn check(container: &v1::ContainerInfo) -> Result<(), Error> {
    match container.r#type() {
        container_info::Type::Docker if container.docker.is_none() => return Err(Error::NoDocker),
        container_info::Type::Mesos if container.docker.is_some() => {
            return Err(Error::DockerInMesos);
        }
        container_info::Type::Docker | container_info::Type::Mesos => {}
    }
    container.volumes.iter().try_for_each(check_volume)
}

fn check_volume(mount: &v1::Volume) -> Result<(), Error> {
    let path = || mount.container_path.clone();
    if mount.container_path.is_empty() {
        return Err(Error::ContainerPath);
    }
    let sources = [mount.host_path.is_some(), mount.image.is_some(), mount.source.is_some()];
    if sources.iter().filter(|said| **said).count() > 1 {
        return Err(Error::Sources(path()));
    }
    let Some(source) = &mount.source else { return Ok(()) };
    let kind = source.r#type();
    let says_which = match kind {
        volume::source::Type::DockerVolume => source.docker_volume.is_some(),
        volume::source::Type::HostPath => source.host_path.is_some(),
        volume::source::Type::SandboxPath => source.sandbox_path.is_some(),
        volume::source::Type::Secret => source.secret.is_some(),
        volume::source::Type::CsiVolume => source.csi_volume.is_some(),
        volume::source::Type::Unknown => false,
    };
    if says_which { Ok(()) } else { Err(Error::Source { path: path(), kind: kind.as_str_name() }) }
}
