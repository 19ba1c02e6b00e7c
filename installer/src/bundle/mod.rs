//! A bundle: everything that a deployment needs, as one signed file.
//!
//! ```text
//! manifest.json      the path, mode and hash of every other file
//! signature          of the manifest, by the cluster's key for bundles
//! config.yaml        and the scripts that it names
//! karman-installer   with all that it carries
//! ```
//!
//! The same input makes the same bytes: entries are in order, without owner and
//! time. Nothing of a bundle is used before all of it was checked.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::payload::{append, digest};
use crate::release::{Item, PROGRAM_MODE, hex, sha256};

mod key;

pub use key::{KeyError, SigningKey, verify};

pub const CONFIG: &str = "config.yaml";
pub const INSTALLER: &str = "karman-installer";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "signature";
const FORMAT: u32 = 1;
const ID_DIGITS: usize = 20;
const FILE_MODE: u32 = 0o644;
/// What `GzEncoder` writes first: no name, no time, the best compression.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
/// The same with a comment, which is the hash of all that follows: some bits of
/// compressed data can change and mean the same, and even they are noticed.
const COMMENTED_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 2, 0xff];
const COMMENT_BYTES: usize = 65;
/// Where damage is that is in no file.
const ARCHIVE: &str = "the archive";
/// A manifest is short; a damaged archive must not fill the memory.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// No installer comes near it; a damaged archive must not fill the disk.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What a bundle is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub cluster_id: String,
    pub cluster_name: String,
    /// The release that a deployment of it makes.
    pub release: String,
    pub items: Vec<Item>,
}

impl Manifest {
    fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest is JSON");
        text + "\n"
    }

    /// The name of the bundle: a hash over all of it.
    pub fn id(&self) -> String {
        let mut id = sha256(self.text().as_bytes());
        id.truncate(ID_DIGITS);
        id
    }
}

/// Why there is no bundle, or why one is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged at '{inside}': {what}; copy it again", path.display())]
    Damaged { path: PathBuf, inside: String, what: String },
    #[error("{} was not signed by this cluster; take the bundle that was made beside this .karman", path.display())]
    Foreign {
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    #[error("{} has format {format}, which this installer does not know; take a newer one", path.display())]
    Format { path: PathBuf, format: u32 },
}

/// What goes into a bundle: its path there and the file.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: String,
    pub file: PathBuf,
}

/// Writes a bundle into a folder; its file and manifest.
pub fn make(
    folder: &Path,
    (cluster_id, cluster_name, release): (&str, &str, &str),
    mut sources: Vec<Source>,
    key: &SigningKey,
) -> Result<(PathBuf, Manifest), Error> {
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    let mut contents = Vec::new();
    for Source { path, file } in &sources {
        let bytes = fs::read(file).map_err(|source| Error::Read { path: file.clone(), source })?;
        let mode = if path == INSTALLER { PROGRAM_MODE } else { FILE_MODE };
        contents.push((Item { mode, ..Item::of_bytes(path, &bytes) }, bytes));
    }
    let manifest = Manifest {
        format: FORMAT,
        cluster_id: cluster_id.to_owned(),
        cluster_name: cluster_name.to_owned(),
        release: release.to_owned(),
        items: contents.iter().map(|(item, _)| item.clone()).collect(),
    };
    let path = folder.join(format!("karman-{}.tar.gz", manifest.id()));
    let write = |source| Error::Write { path: path.clone(), source };
    let text = manifest.text();
    let signature = key.sign(text.as_bytes()) + "\n";
    let encoder = flate2::GzBuilder::new()
        .mtime(0)
        .operating_system(0xff)
        .write(Vec::new(), flate2::Compression::best());
    let mut archive = tar::Builder::new(encoder);
    append(&mut archive, MANIFEST, FILE_MODE, text.as_bytes()).map_err(write)?;
    append(&mut archive, SIGNATURE, FILE_MODE, signature.as_bytes()).map_err(write)?;
    for (item, bytes) in &contents {
        append(&mut archive, &item.path, item.mode, bytes).map_err(write)?;
    }
    let bytes = archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(write)?;
    let unfinished = path.with_extension("new");
    let body = bytes.strip_prefix(&GZIP_HEADER).ok_or(io::ErrorKind::Unsupported);
    let body = body.map_err(|kind| write(kind.into()))?;
    let comment = sha256(body) + "\0";
    let mut file = File::create(&unfinished).map_err(write)?;
    for part in [&COMMENTED_HEADER, comment.as_bytes(), body] {
        file.write_all(part).map_err(write)?;
    }
    file.sync_all().map_err(write)?;
    fs::rename(&unfinished, &path).map_err(write)?;
    Ok((path, manifest))
}

/// Checks a bundle as a whole and unpacks it into a folder of its own below
/// `folder`. `key` is the public key that must have signed it.
pub fn open(file: &Path, key: &str, folder: &Path) -> Result<(PathBuf, Manifest), Error> {
    let read = |source| Error::Read { path: file.to_owned(), source };
    let mut from = File::open(file).map_err(read)?;
    let (mut header, mut comment) = ([0; COMMENTED_HEADER.len()], [0; COMMENT_BYTES]);
    from.read_exact(&mut header).and_then(|()| from.read_exact(&mut comment)).map_err(read)?;
    if header != COMMENTED_HEADER {
        return Err(damaged(file, ARCHIVE, "it does not begin as a bundle does"));
    }
    let hash = hex(&digest(&mut from).map_err(read)?) + "\0";
    from.seek(SeekFrom::Start((header.len() + comment.len()) as u64)).map_err(read)?;
    let whole = hash.as_bytes() == comment;
    let from = BufReader::new(GZIP_HEADER.as_slice().chain(from));
    let mut archive = tar::Archive::new(GzDecoder::new(from));
    let mut reader = Reader { file, last: MANIFEST.to_owned() };
    let mut entries = archive.entries().map_err(|error| reader.damaged(&error))?;
    let text = reader.text(&mut entries, MANIFEST)?;
    let signature = reader.text(&mut entries, SIGNATURE)?;
    verify(key, text.as_bytes(), signature.trim_end())
        .map_err(|source| Error::Foreign { path: file.to_owned(), source })?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| damaged(file, MANIFEST, &error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(Error::Format { path: file.to_owned(), format: manifest.format });
    }
    let unfinished = folder.join(format!("{}.new", manifest.id()));
    let write = |source| Error::Write { path: unfinished.clone(), source };
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(write)?;
    }
    fs::create_dir_all(&unfinished).map_err(write)?;
    for item in &manifest.items {
        reader.file(&mut entries, item, &unfinished)?;
    }
    match entries.next() {
        None => {}
        Some(Ok(_)) => return Err(reader.damaged(&"it has more files than its manifest")),
        Some(Err(error)) => return Err(reader.damaged(&error)),
    }
    let mut rest = archive.into_inner();
    // The check sum of the compression is behind the last file.
    io::copy(&mut rest, &mut io::sink()).map_err(|error| reader.damaged(&error))?;
    let at_end = rest.into_inner().fill_buf().map_err(|error| reader.damaged(&error))?.is_empty();
    if !at_end {
        return Err(reader.damaged(&"something follows its end"));
    }
    // Said last, so that damage that shows in a file is told by its name.
    if !whole {
        return Err(damaged(file, ARCHIVE, "it does not have the hash that it begins with"));
    }
    let place = folder.join(manifest.id());
    if place.exists() {
        fs::remove_dir_all(&place).map_err(write)?;
    }
    fs::rename(&unfinished, &place).map_err(write)?;
    Ok((place, manifest))
}

fn damaged(path: &Path, inside: &str, what: &str) -> Error {
    Error::Damaged { path: path.to_owned(), inside: inside.to_owned(), what: what.to_owned() }
}

type Entries<'a, R> = tar::Entries<'a, R>;

/// Reads entries in order and knows where it is.
struct Reader<'a> {
    file: &'a Path,
    last: String,
}

impl Reader<'_> {
    fn damaged(&self, error: &dyn std::fmt::Display) -> Error {
        damaged(self.file, &self.last, &error.to_string())
    }

    fn entry<'e, R: Read>(
        &mut self,
        entries: &mut Entries<'e, R>,
        path: &str,
    ) -> Result<tar::Entry<'e, R>, Error> {
        path.clone_into(&mut self.last);
        let entry = match entries.next() {
            Some(entry) => entry.map_err(|error| self.damaged(&error))?,
            None => return Err(self.damaged(&"it is missing")),
        };
        let found = entry.path().map_err(|error| self.damaged(&error))?.display().to_string();
        if found != path || entry.header().entry_type() != tar::EntryType::Regular {
            return Err(self.damaged(&format!("'{found}' is in its place")));
        }
        Ok(entry)
    }

    fn text<R: Read>(&mut self, entries: &mut Entries<'_, R>, path: &str) -> Result<String, Error> {
        let mut text = String::new();
        let entry = self.entry(entries, path)?;
        entry
            .take(TEXT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| self.damaged(&error))?;
        Ok(text)
    }

    fn file<R: Read>(
        &mut self,
        entries: &mut Entries<'_, R>,
        item: &Item,
        folder: &Path,
    ) -> Result<(), Error> {
        let Item { path, mode, size, sha256: wanted } = item;
        let entry = self.entry(entries, path)?;
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || *size > FILE_BYTES_MAX {
            return Err(self.damaged(&"its path or size is not allowed"));
        }
        let mut bytes = Vec::new();
        entry.take(*size + 1).read_to_end(&mut bytes).map_err(|error| self.damaged(&error))?;
        if sha256(&bytes) != *wanted {
            return Err(self.damaged(&"it does not have the hash of the manifest"));
        }
        let to = folder.join(path);
        let write = |source| Error::Write { path: to.clone(), source };
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(write)?;
        }
        fs::write(&to, bytes).map_err(write)?;
        let rights = std::os::unix::fs::PermissionsExt::from_mode(*mode);
        fs::set_permissions(&to, rights).map_err(write)
    }
}

#[cfg(test)]
mod tests;
