//! Limits of a single process, of setrlimit(2). Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One limit; none at all where a side is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    pub resource: Resource,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    AddressSpace,
    Core,
    Cpu,
    Data,
    FileSize,
    Locks,
    LockedMemory,
    MessageQueues,
    Nice,
    OpenFiles,
    Processes,
    ResidentSet,
    RealTimePriority,
    RealTimeTime,
    PendingSignals,
    Stack,
}

impl Resource {
    /// The name that the original's API and setrlimit(2) share, without the
    /// prefix: `NOFILE`.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(resource, _)| *resource)
    }

    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(resource, _)| *resource == self).map_or("", |(_, name)| *name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const NAMES: [(Resource, &str); 16] = [
    (Resource::AddressSpace, "AS"),
    (Resource::Core, "CORE"),
    (Resource::Cpu, "CPU"),
    (Resource::Data, "DATA"),
    (Resource::FileSize, "FSIZE"),
    (Resource::Locks, "LOCKS"),
    (Resource::LockedMemory, "MEMLOCK"),
    (Resource::MessageQueues, "MSGQUEUE"),
    (Resource::Nice, "NICE"),
    (Resource::OpenFiles, "NOFILE"),
    (Resource::Processes, "NPROC"),
    (Resource::ResidentSet, "RSS"),
    (Resource::RealTimePriority, "RTPRIO"),
    (Resource::RealTimeTime, "RTTIME"),
    (Resource::PendingSignals, "SIGPENDING"),
    (Resource::Stack, "STACK"),
];
