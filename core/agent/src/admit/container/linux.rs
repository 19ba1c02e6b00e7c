//! `linux_info` and `rlimit_info`. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_api::mesos::v1::linux_info::IpcMode;
use karman_api::mesos::v1::r_limit_info::RLimit;
use karman_api::mesos::v1::{CapabilityInfo, LinuxInfo, SeccompInfo};
use karman_container::spec::{Capabilities, Capability, Resource, Rlimit, Seccomp};

use super::Container;
use crate::admit::Refusal;

#[expect(deprecated, reason = "the former name of the effective ones")]
pub(super) fn linux(info: &LinuxInfo, container: &mut Container) -> Result<(), Refusal> {
    let LinuxInfo {
        capability_info,
        bounding_capabilities,
        effective_capabilities,
        share_pid_namespace,
        seccomp,
        ipc_mode: _,
        shm_size,
        share_cgroups: _,
    } = info;
    let effective = effective_capabilities.as_ref().or(capability_info.as_ref());
    if effective.is_some() || bounding_capabilities.is_some() {
        container.capabilities = rights(effective, bounding_capabilities.as_ref())?;
    }
    container.shares_pids = share_pid_namespace.unwrap_or(false);
    container.shares_memory = info.ipc_mode() == IpcMode::ShareParent;
    container.shm_bytes = shm_size.map(|mib| u64::from(mib) << 20);
    if container.shares_memory && container.shm_bytes.is_some() {
        return Err(Refusal::invalid("'shm_size' is for a container with ipc_mode PRIVATE"));
    }
    if let Some(info) = seccomp {
        container.seccomp = filter(info)?;
    }
    Ok(())
}

/// As the original: effective ones must be within the bounding ones, which are
/// the effective ones where they are not given.
fn rights(
    effective: Option<&CapabilityInfo>,
    bounding: Option<&CapabilityInfo>,
) -> Result<Capabilities, Refusal> {
    let effective = effective.map(set).transpose()?;
    let bounding = bounding.map(set).transpose()?;
    let bounding = match (&effective, bounding) {
        (Some(effective), Some(bounding)) => {
            if let Some(more) = effective.difference(&bounding).next() {
                return Err(Refusal::invalid(format!(
                    "Capability {more} is effective, but not among the bounding ones"
                )));
            }
            bounding
        }
        (Some(effective), None) => effective.clone(),
        (None, Some(bounding)) => bounding,
        (None, None) => Capability::standard(),
    };
    Ok(Capabilities::Set { effective, bounding })
}

fn set(info: &CapabilityInfo) -> Result<BTreeSet<Capability>, Refusal> {
    info.capabilities()
        .map(|capability| {
            let name = capability.as_str_name();
            Capability::named(name).map_err(|error| Refusal::invalid(error.to_string()))
        })
        .collect()
}

fn filter(info: &SeccompInfo) -> Result<Seccomp, Refusal> {
    match (&info.profile_name, info.unconfined.unwrap_or(false)) {
        (Some(_), true) => {
            Err(Refusal::invalid("'seccomp' cannot have a profile and be unconfined"))
        }
        (None, true) => Ok(Seccomp::Unconfined),
        (None, false) => Ok(Seccomp::Default),
        (Some(name), false) if name == "default" => Ok(Seccomp::Default),
        (Some(name), false) => Err(Refusal::failed(format!(
            "The seccomp profile '{name}' is not there; this agent knows 'default'"
        ))),
    }
}

pub(super) fn rlimit(limit: &RLimit) -> Result<Rlimit, Refusal> {
    let name = limit.r#type().as_str_name().trim_start_matches("RLMT_");
    let resource = Resource::named(name)
        .ok_or_else(|| Refusal::invalid("A limit in 'rlimit_info' does not say of what"))?;
    match (limit.soft, limit.hard) {
        (Some(soft), Some(hard)) if soft > hard => Err(Refusal::invalid(format!(
            "The soft limit of {name} ({soft}) is above the hard one ({hard})"
        ))),
        (Some(_), None) | (None, Some(_)) => Err(Refusal::invalid(format!(
            "The limit of {name} needs both sides, or none to be unlimited"
        ))),
        (soft, hard) => Ok(Rlimit { resource, soft, hard }),
    }
}
