//! What an app runs in: an image, and folders of the machine put into it.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::super::fields::Fields;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    #[serde(rename = "type")]
    pub kind: ContainerKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<HostVolume>,
}

/// Who would have made the container in DC/OS. Here all are made the same way;
/// what may be said of them differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerKind {
    #[default]
    Docker,
    Mesos,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Docker {
    pub image: String,
    /// Whether the registry is asked although the image is there.
    #[serde(default)]
    pub force_pull_image: bool,
    #[serde(default)]
    pub privileged: bool,
    /// Options of `docker run`, by their long names.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    pub key: String,
    pub value: String,
}

/// A file or folder of the machine, in a place of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostVolume {
    pub container_path: String,
    pub host_path: String,
    pub mode: VolumeMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VolumeMode {
    Ro,
    Rw,
}

impl super::App {
    /// What it runs in, if that has files of its own.
    pub fn image(&self) -> Option<&Docker> {
        self.container.as_ref()?.docker.as_ref()
    }
}

/// The longest name of an image, path or parameter.
const TEXT_BYTES_MAX: usize = 1024;

pub(super) fn container(fields: &Fields<'_>) -> Option<Container> {
    let object = fields.object("container")?;
    let kinds = [("DOCKER", ContainerKind::Docker), ("MESOS", ContainerKind::Mesos)];
    let kind = object.choice("type", &kinds).unwrap_or_default();
    let docker = object.object("docker").map(|docker| image(&docker, kind));
    if docker.is_none() && kind == ContainerKind::Docker {
        object.rule("docker", "is required with type DOCKER; use MESOS to run without an image");
    }
    for (key, what) in [
        ("portMappings", "container networks are not available, so ports cannot be mapped"),
        ("linuxInfo", "seccomp and ipc settings cannot be applied"),
    ] {
        if object.is_filled(key) {
            object.rule(key, format!("{what} by this release; leave it out"));
        }
    }
    let volumes = object.objects("volumes").unwrap_or_default();
    Some(Container { kind, docker, volumes: volumes.iter().map(volume).collect() })
}

fn image(docker: &Fields<'_>, kind: ContainerKind) -> Docker {
    let image = docker.filled_text("image", TEXT_BYTES_MAX);
    if image.is_none() && !docker.has("image") {
        docker.rule("image", "is required");
    }
    let network = docker.choice("network", &[("HOST", true), ("BRIDGE", false), ("USER", false)]);
    if network == Some(false) {
        docker.rule("network", "container networks are not available in this release; use HOST");
    }
    for (key, what) in [
        ("portMappings", "ports cannot be mapped"),
        ("credential", "credentials have no place here"),
        ("pullConfig", "secrets cannot be referred to"),
    ] {
        if docker.is_filled(key) {
            docker.rule(key, format!("{what} by this release; leave it out"));
        }
    }
    let (privileged, parameters) = (docker.flag("privileged"), docker.objects("parameters"));
    if kind == ContainerKind::Mesos {
        for (key, given) in [
            ("privileged", privileged == Some(true)),
            ("parameters", parameters.as_ref().is_some_and(|list| !list.is_empty())),
        ] {
            if given {
                docker.rule(key, "is for containers of type DOCKER");
            }
        }
    }
    Docker {
        image: image.unwrap_or_default(),
        force_pull_image: docker.flag("forcePullImage").unwrap_or(false),
        privileged: privileged.unwrap_or(false),
        parameters: parameters.unwrap_or_default().iter().map(parameter).collect(),
    }
}

fn parameter(object: &Fields<'_>) -> Parameter {
    let key = object.filled_text("key", TEXT_BYTES_MAX);
    for name in ["key", "value"] {
        if !object.has(name) {
            object.rule(name, "is required");
        }
    }
    Parameter { key: key.unwrap_or_default(), value: object.text("value").unwrap_or_default() }
}

fn volume(object: &Fields<'_>) -> HostVolume {
    for key in ["persistent", "external", "secret"] {
        if object.has(key) {
            object.rule(key, "only host volumes can be mounted by this release; give hostPath");
        }
    }
    let path = |key: &str| {
        let path = object.filled_text(key, TEXT_BYTES_MAX);
        if path.is_none() && !object.has(key) {
            object.rule(key, "is required");
        }
        path.unwrap_or_default()
    };
    let mode = object.choice("mode", &[("RO", VolumeMode::Ro), ("RW", VolumeMode::Rw)]);
    if mode.is_none() && !object.has("mode") {
        object.rule("mode", "is required: RO or RW");
    }
    HostVolume {
        container_path: path("containerPath"),
        host_path: path("hostPath"),
        mode: mode.unwrap_or(VolumeMode::Ro),
    }
}
