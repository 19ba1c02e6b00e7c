//! Extracts what a task fetches into its sandbox.
//!
//! Everything belongs to the task, and nothing gets rights from its archive:
//! no setuid, no devices, no attributes. A link may lead anywhere, for the
//! task could make the same; nothing is written through one that leads out.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::meter::{Meter, Stop, reason};
use super::path::{clean, shown};
use super::tar::{self, Entry, Kind, Modified};
use super::tree::{Attributes, Links, Ownership, Policy, Times, Tree};
use super::{Error, Limits, compression, zipped};

/// What kind of archive a name promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Tar,
    Zip,
    /// One compressed file, and its name without the suffix.
    Single(String),
}

const TAR_SUFFIXES: [&str; 11] = [
    ".tar",
    ".tgz",
    ".tar.gz",
    ".tbz2",
    ".tbz",
    ".tar.bz2",
    ".txz",
    ".tar.xz",
    ".tzst",
    ".tar.zst",
    ".tar.zstd",
];
const SINGLE_SUFFIXES: [&str; 4] = [".gz", ".bz2", ".xz", ".zst"];

impl Form {
    /// By the end of the file's name; `None` is no archive.
    pub fn of(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if TAR_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
            return Some(Self::Tar);
        }
        if lower.ends_with(".zip") {
            return Some(Self::Zip);
        }
        let suffix = SINGLE_SUFFIXES.iter().find(|suffix| lower.ends_with(**suffix))?;
        let stem = name.get(..name.len() - suffix.len()).filter(|stem| !stem.is_empty())?;
        (!stem.ends_with('/')).then(|| Self::Single(stem.to_owned()))
    }
}

/// To whom everything is given; needs root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// An archive to extract.
#[derive(Debug)]
pub struct Job<'a> {
    pub archive: File,
    pub form: &'a Form,
    pub folder: &'a Path,
    pub owner: Option<Owner>,
    /// Names in the folder that an archive may not bring.
    pub reserved: &'a [&'a str],
    pub limits: Limits,
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    pub bytes: u64,
    pub entries: u64,
}

/// Extracts the whole archive, or leaves what it had made when it failed.
pub fn extract(job: Job<'_>) -> Result<Extracted, Error> {
    extract_until(job, &Stop::default())
}

pub(crate) fn extract_until(job: Job<'_>, stop: &Stop) -> Result<Extracted, Error> {
    let Job { archive, form, folder, owner, reserved, limits } = job;
    let tree = Tree::open(folder, Links::Beneath, limits)?;
    let owner = owner.map_or(Ownership::Own, |Owner { uid, gid }| Ownership::Given { uid, gid });
    let mut extraction =
        Extraction { tree, owner, reserved, limits, entries: 0, times: Vec::new() };
    match form {
        Form::Tar => extraction.tar(archive, stop)?,
        Form::Zip => zipped::read(&archive, stop, |entry, data| extraction.entry(entry, data))?,
        Form::Single(name) => extraction.single(archive, name, stop)?,
    }
    extraction.finish()
}

struct Extraction<'a> {
    tree: Tree,
    owner: Ownership,
    reserved: &'a [&'a str],
    limits: Limits,
    entries: u64,
    times: Vec<(std::path::PathBuf, Times)>,
}

impl Extraction<'_> {
    fn tar(&mut self, archive: File, stop: &Stop) -> Result<(), Error> {
        let (_, plain) = compression::open(archive).map_err(reason)?;
        let mut entries = tar::Reader::new(Meter::new(plain, self.limits.bytes_max, stop));
        while let Some(entry) = entries.next_entry()? {
            self.entry(&entry, &mut entries.data())?;
        }
        Ok(())
    }

    fn single(&mut self, archive: File, name: &str, stop: &Stop) -> Result<(), Error> {
        let (compression, plain) = compression::open(archive).map_err(reason)?;
        if compression == compression::Compression::None {
            return Err(Error::Damaged { problem: "it is not compressed" });
        }
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            kind: Kind::File { size: 0 },
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: Modified::default(),
            attributes: Vec::new(),
        };
        self.entry(&entry, &mut Meter::new(plain, self.limits.bytes_max, stop))
    }

    fn entry(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), Error> {
        let entries_max = self.limits.entries_max;
        self.entries += 1;
        if self.entries > entries_max {
            return Err(Error::TooMany { entries_max });
        }
        let path = clean(&entry.path)?;
        if path.as_os_str().is_empty() {
            // The folder was there before, and stays as it is.
            return Ok(());
        }
        if self.reserved.iter().any(|name| path.starts_with(name)) {
            return Err(Error::Kind {
                path: shown(&entry.path),
                what: "a name that the sandbox keeps for itself",
            });
        }
        self.make(entry, &path, data)
    }

    fn make(&mut self, entry: &Entry, path: &Path, mut data: &mut dyn Read) -> Result<(), Error> {
        let mode_added = if entry.kind == Kind::Directory { 0o700 } else { 0o600 };
        let policy = Policy { owner: self.owner, mode_mask: 0o777, mode_added, extended: false };
        let attributes = Attributes::of(entry, &policy);
        let refused = |what| Err(Error::Kind { path: shown(&entry.path), what });
        match &entry.kind {
            Kind::File { .. } => self.tree.file(path, &mut data, &attributes),
            Kind::Sparse { size, pieces } => {
                self.tree.sparse(path, (*size, pieces), &mut data, &attributes)
            }
            Kind::Directory => {
                self.times.push((path.to_owned(), attributes.times()));
                self.tree.directory(path, &attributes).map(drop)
            }
            Kind::Symlink { target } => self.tree.symlink(path, target, &attributes),
            Kind::HardLink { target } => self.hard_link(path, target),
            Kind::Fifo => refused("a named pipe"),
            Kind::Character { .. } | Kind::Block { .. } => refused("a device"),
        }
    }

    fn hard_link(&mut self, path: &Path, target: &[u8]) -> Result<(), Error> {
        if self.tree.hard_link(path, &clean(target)?)? {
            return Ok(());
        }
        let path = path.display().to_string();
        Err(Error::LinkTarget { path, target: shown(target) })
    }

    fn finish(self) -> Result<Extracted, Error> {
        let Self { mut tree, owner, entries, times, .. } = self;
        if let Ownership::Given { uid, gid } = owner {
            tree.give_implied(uid, gid)?;
        }
        for (path, times) in &times {
            tree.set_times(path, times)?;
        }
        Ok(Extracted { bytes: tree.written(), entries })
    }
}
