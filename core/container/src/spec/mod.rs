//! What a container is: everything that is needed to run one process in it.
//! Pure.
#![deny(clippy::disallowed_methods)]

mod capability;
mod check;
mod device;
mod rlimit;

pub use capability::{Capabilities, Capability};
pub use check::Error;
pub(crate) use check::check;
pub use device::{Access, Device, Devices, Kind, standard};
pub use rlimit::{Resource, Rlimit};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Group, Limits};
use crate::process::Identity;
use crate::seccomp::Profile;

/// One process and what it sees of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub process: Process,
    pub user: User,
    pub root: Root,
    /// In the order in which they are put there; after those that every
    /// container has, which they replace where they have the same target.
    pub mounts: Vec<Mount>,
    /// What of the machine the container must not see: the keys and the state
    /// of the agent. A mount may lie below one of them.
    pub hidden: Vec<PathBuf>,
    pub namespaces: Namespaces,
    pub hostname: Option<String>,
    pub capabilities: Capabilities,
    pub seccomp: Seccomp,
    /// Programs give nobody more rights than he has: `sudo` does nothing.
    pub no_new_privileges: bool,
    /// What the kernel shows of itself in `/proc` and `/sys` is masked or can
    /// only be read. Taken from those only who may do everything.
    pub kernel_masked: bool,
    pub rlimits: Vec<Rlimit>,
    pub devices: Devices,
    /// Where its processes are counted and limited.
    pub group: Option<Group>,
    /// What the group may use; absent where the group is that of another
    /// container, which this one only joins.
    pub limits: Option<Limits>,
}

impl Spec {
    /// A process like any other of this machine: no view of its own, and all
    /// rights of whoever starts it.
    pub fn plain(process: Process) -> Self {
        Self {
            process,
            user: User::Own,
            root: Root::Host,
            mounts: Vec::new(),
            hidden: Vec::new(),
            namespaces: Namespaces::shared(),
            hostname: None,
            capabilities: Capabilities::Unchanged,
            seccomp: Seccomp::Unconfined,
            no_new_privileges: false,
            kernel_masked: false,
            rlimits: Vec::new(),
            devices: Devices::All,
            group: None,
            limits: None,
        }
    }

    /// A process with its own view of the machine's file system, of processes
    /// and of what they share, with the rights that containers have by default.
    pub fn isolated(process: Process) -> Self {
        Self {
            namespaces: Namespaces::own(),
            capabilities: Capabilities::standard(),
            seccomp: Seccomp::Default,
            kernel_masked: true,
            devices: Devices::Only(Vec::new()),
            ..Self::plain(process)
        }
    }

    /// Another process inside a running container: its namespaces, its root,
    /// and its groups.
    pub fn inside(init: Identity, process: Process, group: Option<Group>) -> Self {
        Self {
            namespaces: Namespaces::joined(init),
            capabilities: Capabilities::standard(),
            seccomp: Seccomp::Default,
            devices: Devices::Only(Vec::new()),
            group,
            ..Self::plain(process)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What is executed, searched in the `PATH` of its environment, inside.
    pub program: String,
    /// With the name of the program first.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Where it starts, as seen from inside. Made where it is missing in an
    /// image.
    pub directory: PathBuf,
    /// It has a terminal of this size instead of three files.
    pub terminal: Option<Size>,
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// As whom a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// As whoever starts it.
    Own,
    /// `name`, `name:group`, `uid` or `uid:gid`: names of the image where there
    /// is one, of the machine otherwise.
    Named(String),
    Ids {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
}

/// What `/` is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// That of the machine, or of the container whose mounts are joined.
    Host,
    /// An overlay of unpacked layers.
    Image {
        /// The topmost first.
        lower: Vec<PathBuf>,
        /// What the container writes.
        upper: PathBuf,
        /// The overlay's own folder, on the file system of `upper`.
        work: PathBuf,
        read_only: bool,
    },
}

/// Something in a place of the container's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: Source,
    /// As seen from inside; made where it is missing.
    pub target: PathBuf,
    pub read_only: bool,
    /// With everything that is mounted below the source.
    pub recursive: bool,
    pub options: Vec<MountOption>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file or folder of the machine.
    Bind(PathBuf),
    /// A file or folder below one whose contents are not to be trusted, like
    /// that of another container: no link leads out of `folder`.
    Below {
        folder: PathBuf,
        path: PathBuf,
    },
    /// Unpacked layers of an image, the topmost first; always read-only.
    Image(Vec<PathBuf>),
    Tmpfs {
        bytes: Option<u64>,
        mode: u32,
    },
    Proc,
    Sys,
    Devpts,
    Shm {
        bytes: Option<u64>,
    },
    Mqueue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountOption {
    NoSuid,
    NoDev,
    NoExec,
}

/// Whose view of the machine the process has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    pub mount: Namespace,
    pub pid: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
    pub network: Network,
}

impl Namespaces {
    /// Those of whoever starts it.
    pub fn shared() -> Self {
        Self::all(Namespace::Shared, Network::Host)
    }

    /// All of its own but the network, which is the machine's.
    pub fn own() -> Self {
        Self::all(Namespace::Own, Network::Host)
    }

    /// Those of a running container.
    pub fn joined(init: Identity) -> Self {
        Self::all(Namespace::Join(init), Network::Of(init))
    }

    fn all(each: Namespace, network: Network) -> Self {
        Self { mount: each, pid: each, ipc: each, uts: each, cgroup: each, network }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    Own,
    /// That of whoever starts it.
    Shared,
    /// That of the container with this first process.
    Join(Identity),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// That of whoever starts it.
    Host,
    /// Nothing but a loopback of its own.
    Own,
    /// The one that this file holds.
    Join(PathBuf),
    /// That of the container with this first process.
    Of(Identity),
}

/// Which calls of the kernel are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    Unconfined,
    /// What containers have by default.
    Default,
    /// A profile in Docker's format.
    Profile(Profile),
}
