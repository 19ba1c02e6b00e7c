//! What the installer carries behind its own program: the files of a release.
//!
//! A packed installer is the bare program, a compressed archive and a trailer
//! that says where the archive begins and what its hash is. The archive begins
//! with the list of its files. The bare program is on that list too, without
//! being in the archive: it is there already.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use crate::release::{Item, PROGRAM_MODE, hex};

mod pack;
mod unpack;

pub(crate) use pack::append;
pub use pack::{PackError, pack};

/// The programs that are packed, and which folder they come from.
pub const OWN_PROGRAMS: &[&str] = &["karmand", "karman-shim", "karman"];
pub const ETCD_PROGRAMS: &[&str] = &["etcd", "etcdctl"];
/// The bare installer, as a file of a release.
const INSTALLER: &str = "bin/karman-installer";

const MAGIC: &[u8; 16] = b"KARMAN-PAYLOAD-1";
const HASH_BYTES: usize = 32;
/// Hash of the archive, its length, the magic word.
const TRAILER_BYTES: u64 = (HASH_BYTES + size_of::<u64>() + MAGIC.len()) as u64;
const LIST: &str = "list.json";
/// No release comes near it; a damaged one must not fill the memory.
const LIST_BYTES_MAX: u64 = 1 << 20;
const CHUNK: usize = 1 << 16;

/// What a packed installer carries.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The installer's own file.
    pub file: PathBuf,
    /// Where the bare program ends.
    bare: u64,
    length: u64,
    /// Sorted by path.
    pub items: Vec<Item>,
}

/// Why there is no payload.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} carries no programs: it is a bare installer; take a packed one, or make one with `karman-installer pack`", path.display())]
    Bare { path: PathBuf },
    #[error("{} is damaged: {what}; copy it again", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Payload {
    /// Opens the payload of a packed installer and checks it as a whole.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: file.to_owned(), source };
        let damaged = |what: &str| Error::Damaged { path: file.to_owned(), what: what.to_owned() };
        let mut from = File::open(file).map_err(read)?;
        let size = from.metadata().map_err(read)?.len();
        let Some((hash, length)) = trailer(&mut from, size).map_err(read)? else {
            return Err(Error::Bare { path: file.to_owned() });
        };
        let Some(bare) = size.checked_sub(TRAILER_BYTES + length) else {
            return Err(damaged("its trailer names more than there is"));
        };
        from.seek(SeekFrom::Start(bare)).map_err(read)?;
        if digest(&mut (&from).take(length)).map_err(read)? != hash {
            return Err(damaged("what it carries does not have the hash that it had"));
        }
        let mut payload = Self { file: file.to_owned(), bare, length, items: Vec::new() };
        payload.items = payload.list()?;
        Ok(payload)
    }

    /// The payload of the running program.
    pub fn own() -> Result<Self, Error> {
        Self::open(&own_file()?)
    }

    fn list(&self) -> Result<Vec<Item>, Error> {
        let damaged = |error: &dyn std::fmt::Display| Error::Damaged {
            path: self.file.clone(),
            what: format!("its list of files cannot be read: {error}"),
        };
        let mut archive = self.archive()?;
        let mut entries = archive.entries().map_err(|error| damaged(&error))?;
        let Some(Ok(first)) = entries.next() else { return Err(damaged(&"there is none")) };
        let mut text = String::new();
        first.take(LIST_BYTES_MAX).read_to_string(&mut text).map_err(|error| damaged(&error))?;
        let mut items: Vec<Item> = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
        items.sort();
        Ok(items)
    }
}

/// The file of the running program.
pub fn own_file() -> Result<PathBuf, Error> {
    let path = PathBuf::from("/proc/self/exe");
    std::fs::read_link(&path).map_err(|source| Error::Read { path, source })
}

/// The hash and length that a trailer names; none where there is no trailer.
fn trailer(file: &mut File, size: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let Some(start) = size.checked_sub(TRAILER_BYTES) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let (mut hash, mut length, mut magic) = (vec![0; HASH_BYTES], [0; 8], [0; MAGIC.len()]);
    file.read_exact(&mut hash)?;
    file.read_exact(&mut length)?;
    file.read_exact(&mut magic)?;
    Ok((&magic == MAGIC).then(|| (hash, u64::from_le_bytes(length))))
}

/// The hash of all that can be read.
pub fn digest(from: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = from.read(&mut chunk)?;
        if bytes == 0 {
            return Ok(context.finish().as_ref().to_vec());
        }
        context.update(chunk.get(..bytes).unwrap_or_default());
    }
}

/// The hash of a file, in hexadecimal digits.
pub fn file_sha256(path: &Path) -> io::Result<String> {
    digest(&mut File::open(path)?).map(|hash| hex(&hash))
}

/// Copies all of `from` through a hash; the hash and the number of bytes.
fn copy(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<(String, u64)> {
    let mut context = Context::new(&SHA256);
    let (mut chunk, mut total) = (vec![0; CHUNK], 0);
    loop {
        let bytes = from.read(&mut chunk)?;
        if bytes == 0 {
            return Ok((hex(context.finish().as_ref()), total));
        }
        let read = chunk.get(..bytes).unwrap_or_default();
        context.update(read);
        to.write_all(read)?;
        total += bytes as u64;
    }
}

#[cfg(test)]
pub(crate) mod tests;
