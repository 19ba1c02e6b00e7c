//! Rights that the kernel knows by name. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// In the order of the kernel, which is their number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What containers may do where nobody says otherwise: enough for the usual
/// services to start, change users and serve low ports, nothing that reaches
/// the machine. The set that Docker's users are used to.
const STANDARD: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// One right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(u8);

/// No capability has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no capability; names are those of capabilities(7), such as NET_ADMIN")]
pub struct Unknown {
    pub name: String,
}

impl Capability {
    /// `NET_ADMIN`, or `CAP_NET_ADMIN`, in any case.
    pub fn named(name: &str) -> Result<Self, Unknown> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let found = NAMES.iter().position(|known| *known == bare);
        let number = found.and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| Unknown { name: name.to_owned() })
    }

    /// By the kernel's number.
    pub fn numbered(number: u8) -> Option<Self> {
        (usize::from(number) < NAMES.len()).then_some(Self(number))
    }

    pub fn number(self) -> u8 {
        self.0
    }

    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// All that this program knows.
    pub fn all() -> BTreeSet<Self> {
        (0..).map_while(Self::numbered).collect()
    }

    pub fn standard() -> BTreeSet<Self> {
        STANDARD.iter().filter_map(|name| Self::named(name).ok()).collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for Capability {
    type Error = Unknown;

    fn try_from(name: String) -> Result<Self, Unknown> {
        Self::named(&name)
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.name().to_owned()
    }
}

/// The rights of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capabilities {
    /// Those of whoever starts it.
    Unchanged,
    Set {
        /// What the process has, whoever its user is; by the kernel's rule if
        /// absent: the superuser has all of `bounding`, others nothing.
        effective: Option<BTreeSet<Capability>>,
        /// What it can ever have.
        bounding: BTreeSet<Capability>,
    },
}

impl Capabilities {
    pub fn standard() -> Self {
        Self::Set { effective: None, bounding: Capability::standard() }
    }
}
