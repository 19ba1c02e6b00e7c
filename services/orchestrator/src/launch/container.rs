//! The container of an app, as agents understand it.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::app::{Container, ContainerKind, Docker, HostVolume, VolumeMode};
use karman_api::mesos::v1::container_info::docker_info::Network;
use karman_api::mesos::v1::container_info::{DockerInfo, MesosInfo, Type};
use karman_api::mesos::v1::{ContainerInfo, Image, Parameter, Volume, image, volume};

pub(super) fn to_wire(container: &Container) -> ContainerInfo {
    let Container { kind, docker, volumes } = container;
    let mut info = ContainerInfo {
        volumes: volumes.iter().map(host_volume).collect(),
        ..ContainerInfo::default()
    };
    match kind {
        ContainerKind::Docker => {
            info.r#type = Type::Docker.into();
            info.docker = docker.as_ref().map(docker_info);
        }
        ContainerKind::Mesos => {
            info.r#type = Type::Mesos.into();
            info.mesos = docker.as_ref().map(|docker| MesosInfo { image: Some(image_of(docker)) });
        }
    }
    info
}

fn docker_info(docker: &Docker) -> DockerInfo {
    let parameter = |it: &karman_api::marathon::v2::app::Parameter| Parameter {
        key: it.key.clone(),
        value: it.value.clone(),
    };
    DockerInfo {
        image: docker.image.clone(),
        network: Some(Network::Host.into()),
        privileged: Some(docker.privileged),
        parameters: docker.parameters.iter().map(parameter).collect(),
        force_pull_image: Some(docker.force_pull_image),
        ..DockerInfo::default()
    }
}

fn image_of(docker: &Docker) -> Image {
    let name = image::Docker { name: docker.image.clone(), ..image::Docker::default() };
    Image {
        r#type: image::Type::Docker.into(),
        docker: Some(name),
        cached: Some(!docker.force_pull_image),
        ..Image::default()
    }
}

fn host_volume(volume: &HostVolume) -> Volume {
    let mode = match volume.mode {
        VolumeMode::Ro => volume::Mode::Ro,
        VolumeMode::Rw => volume::Mode::Rw,
    };
    Volume {
        mode: mode.into(),
        container_path: volume.container_path.clone(),
        host_path: Some(volume.host_path.clone()),
        ..Volume::default()
    }
}
