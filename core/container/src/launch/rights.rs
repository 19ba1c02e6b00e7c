//! What a process lays down before it executes what is not ours.

use std::collections::BTreeSet;
use std::io;

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use rustix::process::{Resource as Kernel, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities,
};

use super::kernel;
use crate::passwd::Identified;
use crate::seccomp;
use crate::spec::{Capabilities, Capability, Resource, Rlimit, Seccomp};

pub(super) fn limit(limit: &Rlimit) -> io::Result<()> {
    let Rlimit { resource, soft, hard } = limit;
    let resource = match resource {
        Resource::AddressSpace => Kernel::As,
        Resource::Core => Kernel::Core,
        Resource::Cpu => Kernel::Cpu,
        Resource::Data => Kernel::Data,
        Resource::FileSize => Kernel::Fsize,
        Resource::Locks => Kernel::Locks,
        Resource::LockedMemory => Kernel::Memlock,
        Resource::MessageQueues => Kernel::Msgqueue,
        Resource::Nice => Kernel::Nice,
        Resource::OpenFiles => Kernel::Nofile,
        Resource::Processes => Kernel::Nproc,
        Resource::ResidentSet => Kernel::Rss,
        Resource::RealTimePriority => Kernel::Rtprio,
        Resource::RealTimeTime => Kernel::Rttime,
        Resource::PendingSignals => Kernel::Sigpending,
        Resource::Stack => Kernel::Stack,
    };
    Ok(setrlimit(resource, rustix::process::Rlimit { current: *soft, maximum: *hard })?)
}

fn set(capability: Capability) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << capability.number())
}

fn all_of(capabilities: &BTreeSet<Capability>) -> CapabilitySet {
    let all = capabilities.iter().fold(0, |all, one| all | 1 << one.number());
    CapabilitySet::from_bits_retain(all)
}

/// Those too that the kernel knows and this program does not.
pub(super) fn bound(bounding: &BTreeSet<Capability>) -> io::Result<()> {
    let kept = all_of(bounding);
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) if !kept.contains(one) => remove_capability_from_bounding_set(one)?,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

pub(super) fn filter(seccomp: &Seccomp, capabilities: &Capabilities) -> io::Result<()> {
    let rights = match capabilities {
        Capabilities::Unchanged => Capability::all(),
        Capabilities::Set { effective: _, bounding } => bounding.clone(),
    };
    let programs = seccomp::filters(seccomp, &rights).map_err(io::Error::other)?;
    programs.iter().try_for_each(|program| kernel::set_filter(program))
}

/// With `keep`, what it may do stays with it until [`grant`] says what does.
pub(super) fn become_user(user: &Identified, keep: bool) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(user.gid))?;
    if keep {
        set_keep_capabilities(true)?;
    }
    setuid(Uid::from_raw(user.uid))?;
    Ok(())
}

/// They survive the execution whoever the user is, and nothing else does.
pub(super) fn grant(effective: &BTreeSet<Capability>) -> io::Result<()> {
    let all = all_of(effective);
    set_capabilities(None, CapabilitySets { effective: all, permitted: all, inheritable: all })?;
    for capability in effective {
        configure_capability_in_ambient_set(set(*capability), true)?;
    }
    Ok(())
}
