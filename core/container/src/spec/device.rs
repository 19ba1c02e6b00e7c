//! Devices that a container has. Pure.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What of the machine's devices a container can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Devices {
    All,
    /// Those that every container has, and these.
    Only(Vec<Device>),
}

/// A device and its place in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// As seen from inside.
    pub path: PathBuf,
    pub kind: Kind,
    pub major: u32,
    pub minor: u32,
    /// Of the file.
    pub mode: u32,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Character,
    Block,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

impl Access {
    pub const ALL: Self = Self { read: true, write: true, mknod: true };
    pub const USE: Self = Self { read: true, write: true, mknod: false };
}

/// Those that every container has, as the documentation of the kernel numbers
/// them.
pub fn standard() -> Vec<Device> {
    let device = |path: &str, major, minor| Device {
        path: Path::new("/dev").join(path),
        kind: Kind::Character,
        major,
        minor,
        mode: 0o666,
        access: Access::ALL,
    };
    vec![
        device("null", 1, 3),
        device("zero", 1, 5),
        device("full", 1, 7),
        device("random", 1, 8),
        device("urandom", 1, 9),
        device("tty", 5, 0),
    ]
}
