//! A release: the files of all machines of a cluster, and what only one machine
//! has. Pure.
//!
//! A release is named after its content: the id is a hash over the path, mode
//! and hash of each file, its configuration among them. Nothing in it is ever
//! changed; another configuration is another release.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

mod files;

pub use files::{ClusterFile, NodeFile, cluster_yaml, etcd_yaml, node_yaml};

/// Enough that two releases never share an id, and short enough to be read.
const ID_DIGITS: usize = 20;

/// The units of the roles, which every release carries.
pub const UNITS: &[(&str, &str)] = &[
    ("karman.target", include_str!("../../../systemd/karman.target")),
    ("karman-agent.service", include_str!("../../../systemd/karman-agent.service")),
    ("karman-catalog.service", include_str!("../../../systemd/karman-catalog.service")),
    ("karman-etcd.service", include_str!("../../../systemd/karman-etcd.service")),
    ("karman-gateway.service", include_str!("../../../systemd/karman-gateway.service")),
    ("karman-master.service", include_str!("../../../systemd/karman-master.service")),
    ("karman-net.service", include_str!("../../../systemd/karman-net.service")),
    ("karman-orchestrator.service", include_str!("../../../systemd/karman-orchestrator.service")),
];

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// From the folder of the release.
    pub path: String,
    pub mode: u32,
    pub size: u64,
    pub sha256: String,
}

impl Item {
    /// The item of a text.
    pub fn of_text(path: &str, mode: u32, text: &str) -> Self {
        Self { mode, ..Self::of_bytes(path, text.as_bytes()) }
    }

    /// The item of a program.
    pub fn of_bytes(path: &str, bytes: &[u8]) -> Self {
        let (size, sha256) = (bytes.len() as u64, sha256(bytes));
        Self { path: path.to_owned(), mode: PROGRAM_MODE, size, sha256 }
    }
}

/// All files of a release, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub items: Vec<Item>,
}

impl Manifest {
    /// The release of these programs under this configuration.
    pub fn new(programs: &[Item], cluster_yaml: &str) -> Self {
        let mut items = programs.to_vec();
        items.push(Item::of_text("etc/karman.yaml", CONFIG_MODE, cluster_yaml));
        let unit = |(name, text): &(&str, &str)| {
            Item::of_text(&format!("systemd/{name}"), UNIT_MODE, text)
        };
        items.extend(UNITS.iter().map(unit));
        items.sort();
        Self { items }
    }

    /// The name of the release.
    pub fn id(&self) -> String {
        let mut text = String::new();
        for Item { path, mode, size, sha256 } in &self.items {
            text.push_str(&format!("{mode:o} {size} {sha256} {path}\n"));
        }
        let mut id = sha256(text.as_bytes());
        id.truncate(ID_DIGITS);
        id
    }

    /// The hash of one of its files.
    pub fn sha256(&self, path: &str) -> Option<&str> {
        self.items.iter().find(|item| item.path == path).map(|item| item.sha256.as_str())
    }
}

/// The configuration has the hash of a password in it.
pub const CONFIG_MODE: u32 = 0o640;
pub const UNIT_MODE: u32 = 0o644;
pub const PROGRAM_MODE: u32 = 0o755;

/// The hash by which files are known, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
