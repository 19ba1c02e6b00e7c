//! What a machine has and what it shall have. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Who may do what with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    pub mode: u32,
    pub owner: String,
    pub group: String,
}

impl Rights {
    pub fn root(mode: u32) -> Self {
        Self { mode, owner: "root".to_owned(), group: "root".to_owned() }
    }

    pub fn of(mode: u32, owner: &str, group: &str) -> Self {
        Self { mode, owner: owner.to_owned(), group: group.to_owned() }
    }
}

/// Something at a path, as it shall be.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    Folder(Rights),
    /// A folder of the machine: made where it is missing, left as it is otherwise.
    Shared,
    File {
        rights: Rights,
        content: Content,
    },
    Link {
        target: String,
    },
}

/// Without contents: there are keys among them.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(Rights { mode, owner, group }) => {
                write!(f, "folder {mode:o} {owner}:{group}")
            }
            Self::Shared => write!(f, "folder"),
            Self::File { rights: Rights { mode, owner, group }, content: _ } => {
                write!(f, "file {mode:o} {owner}:{group}")
            }
            Self::Link { target } => write!(f, "link to {target}"),
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// A file that the installer carries, by its path in the release.
    Carried {
        path: String,
        sha256: String,
    },
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "content {}", self.sha256())
    }
}

impl Content {
    pub fn sha256(&self) -> String {
        match self {
            Self::Text(text) => crate::release::sha256(text.as_bytes()),
            Self::Carried { sha256, .. } => sha256.clone(),
        }
    }
}

/// Something at a path, as it is. Nothing there is no value of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Folder(Rights),
    File {
        rights: Rights,
        sha256: String,
    },
    Link {
        target: String,
    },
    /// A device, a socket.
    Other,
}

/// What was at a path before the installer put something there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Original {
    Nothing,
    Link { target: String },
    File { rights: Rights, text: String },
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// A hash over all that it reads when it starts: another one means a restart.
    pub fingerprint: String,
}

/// A machine as it shall be. The empty one is a machine without Karman.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub groups: Vec<String>,
    /// Users and the group of each.
    pub users: Vec<(String, String)>,
    pub entries: BTreeMap<String, Entry>,
    /// Entries that may only be put once all units serve.
    pub late: BTreeMap<String, Entry>,
    /// Folders that are ours with all that comes to lie in them, in the order
    /// of their removal.
    pub trees: Vec<String>,
    pub sysctl: BTreeMap<String, String>,
    /// In the order of their start.
    pub units: Vec<Unit>,
    /// The release that is current then.
    pub release: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    Inactive,
    /// On its way, or failing again and again.
    Activating,
    Active,
}

/// A machine as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub groups: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub found: BTreeMap<String, Found>,
    pub sysctl: BTreeMap<String, String>,
    pub units: BTreeMap<String, Activity>,
    /// The releases that lie there.
    pub releases: BTreeSet<String>,
    pub record: Record,
}

/// A kernel setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub before: String,
    /// The machine did not let us; there is no use in trying again.
    pub refused: bool,
}

/// What the installer did to a machine, kept on it. Written before a step that
/// needs undoing, so that an interruption never leaves something unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub version: u32,
    /// Whose machine it is; none before the first step and after the last.
    pub identity: Option<Identity>,
    pub groups: BTreeSet<String>,
    pub users: BTreeSet<String>,
    /// Paths outside of our trees that we put something at.
    pub put: BTreeMap<String, Original>,
    pub trees: Vec<String>,
    pub sysctl: BTreeMap<String, Setting>,
    /// The fingerprints with which units were started.
    pub started: BTreeMap<String, String>,
    /// Unit files changed since systemd read them.
    pub reload: bool,
    /// The release before the present one: it is kept.
    #[serde(default)]
    pub before: Option<String>,
    /// Everything served once: others may rely on this machine.
    #[serde(default)]
    pub served: bool,
}

/// Which machine of which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub cluster_id: String,
    pub cluster_name: String,
    pub role: crate::plan::Role,
    pub address: std::net::IpAddr,
    pub release: String,
}
