//! Makes files out of archives that strangers wrote.
//!
//! Nothing is written outside of the folder that is unpacked into, whatever
//! paths and links an archive holds: every entry is made inside of an open
//! folder that the kernel found without leaving the root. What an archive may
//! cost has limits with names.

mod archive;
mod beneath;
mod compression;
mod layer;
mod lower;
mod meter;
mod path;
mod settle;
pub mod tar;
mod tree;
mod zipped;

use std::io;
use std::path::PathBuf;

pub(crate) use archive::extract_until;
pub use archive::{Extracted, Form, Job, Owner, extract};
pub(crate) use beneath::{create_beneath, open_beneath};
pub use compression::Compression;
pub use layer::stack;
pub(crate) use layer::{LayerJob, Unpacked, unpack};
pub(crate) use meter::Stop;
pub(crate) use settle::settle;

/// What an archive may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of all that comes out of the decompressor, and of all files together.
    pub bytes_max: u64,
    pub entries_max: u64,
    /// What must stay free on the disk; looked at while it is filled.
    pub free_bytes_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 64 << 30, entries_max: 4_000_000, free_bytes_min: 512 << 20 }
    }
}

/// Why an archive was not unpacked, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    #[error("the archive is damaged: {problem}")]
    Damaged { problem: &'static str },
    #[error("the archive becomes larger than {} MiB, which is the limit", bytes_max >> 20)]
    TooLarge { bytes_max: u64 },
    #[error("the archive has more than {entries_max} entries, which is the limit")]
    TooMany { entries_max: u64 },
    #[error("the disk would be left with less than {} MiB", free_bytes_min >> 20)]
    DiskFull { free_bytes_min: u64 },
    #[error("'{path}' leads out of the folder that is unpacked into")]
    Escapes { path: String },
    #[error("'{path}' is no usable path: {problem}")]
    Path { path: String, problem: &'static str },
    #[error("'{path}' is a link to '{target}', which is not there")]
    LinkTarget { path: String, target: String },
    #[error("'{path}' is {what}, which is not unpacked here")]
    Kind { path: String, what: &'static str },
    #[error("cannot write '{path}'")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("stopped")]
    Stopped,
}

#[cfg(test)]
mod tests;
