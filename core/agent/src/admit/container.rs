//! Which containers this agent can make. Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::ContainerInfo;
use karman_api::mesos::v1::container_info::Type;

use super::Refusal;

/// A container without an image, volumes or a network of its own is a plain
/// process in a sandbox.
pub(super) fn check(container: &ContainerInfo) -> Result<(), Refusal> {
    let ContainerInfo {
        r#type: _,
        volumes,
        hostname: _,
        docker,
        mesos,
        network_infos,
        linux_info,
        rlimit_info,
        tty_info,
    } = container;
    let image = mesos.as_ref().is_some_and(|mesos| mesos.image.is_some());
    let refused = [
        (container.r#type() == Type::Docker || docker.is_some(), "Docker containers"),
        (image, "Container images"),
        (!volumes.is_empty(), "Volumes"),
        (network_infos.iter().any(|network| network.name.is_some()), "Container networks"),
        (linux_info.is_some(), "Linux isolation settings (linux_info)"),
        (
            rlimit_info.as_ref().is_some_and(|limits| !limits.rlimits.is_empty()),
            "Resource limits (rlimit_info)",
        ),
        (tty_info.is_some(), "Terminals (tty_info)"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Refusal::failed(format!("{what} are not supported by this agent"))),
        None => Ok(()),
    }
}
