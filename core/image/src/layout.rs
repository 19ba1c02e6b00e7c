//! Images in folders: OCI layouts, and what `docker save` writes.

mod index;
mod saved;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};

use crate::digest::{Digest, Hasher};
use crate::manifest::{self, DOCUMENT_BYTES_MAX, Descriptor, Manifest, Platform};
use crate::reference::Reference;

/// Why a folder holds no images.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "neither an OCI layout (index.json) nor an archive of docker save (manifest.json) is there"
    )]
    Neither,
    #[error("cannot read '{name}'")]
    Read {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("'{name}' is larger than {} KiB", DOCUMENT_BYTES_MAX >> 10)]
    TooLarge { name: String },
    #[error("'{name}' is not understood")]
    Syntax {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("'{name}' has the content {found}, not {wanted}")]
    Digest { name: String, wanted: Digest, found: Digest },
    #[error("'{name}' has {found} bytes, not {wanted}")]
    Size { name: String, wanted: u64, found: u64 },
    #[error("no image is listed")]
    Empty,
    #[error("{count} images are listed; at most {IMAGES_MAX} are loaded at once")]
    TooMany { count: usize },
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
}

/// Of one folder.
const IMAGES_MAX: usize = 256;

/// One image of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Of the manifest.
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) names: Vec<Reference>,
}

/// A folder that is read beneath, whatever links it holds.
#[derive(Debug)]
pub(crate) struct Layout {
    root: File,
    /// Where docker save put what has no name of its own, by digest.
    places: BTreeMap<Digest, PathBuf>,
}

impl Layout {
    /// What the folder holds for this platform.
    pub(crate) fn open(folder: &Path, platform: &Platform) -> Result<(Self, Vec<Listed>), Error> {
        let root = File::open(folder)
            .map_err(|source| Error::Read { name: folder.display().to_string(), source })?;
        let mut layout = Self { root, places: BTreeMap::new() };
        let saved = layout.optional("manifest.json")?;
        let listed = match (layout.optional("index.json")?, saved) {
            (Some(index), saved) => index::read(&layout, &index, saved.as_deref(), platform)?,
            (None, Some(saved)) => {
                let (listed, places) = saved::read(&layout, &saved)?;
                layout.places = places;
                listed
            }
            (None, None) => return Err(Error::Neither),
        };
        match listed.len() {
            0 => Err(Error::Empty),
            count if count > IMAGES_MAX => Err(Error::TooMany { count }),
            _ => Ok((layout, listed)),
        }
    }

    /// A blob of any size, not looked at.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<File, Error> {
        match self.places.get(digest) {
            Some(place) => self.file(place),
            None => self.file(&place(digest)),
        }
    }

    /// Whether the folder names content by what it is.
    pub(crate) fn names_content(&self) -> bool {
        self.places.is_empty()
    }

    /// A small blob, which is what its name says.
    pub(crate) fn small(&self, blob: &Descriptor) -> Result<Vec<u8>, Error> {
        let path = self.places.get(&blob.digest).cloned().unwrap_or_else(|| place(&blob.digest));
        let bytes = self.document(&path)?;
        let name = path.display().to_string();
        if bytes.len() as u64 != blob.size {
            return Err(Error::Size { name, wanted: blob.size, found: bytes.len() as u64 });
        }
        let mut hasher = Hasher::new(blob.digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found == blob.digest {
            Ok(bytes)
        } else {
            Err(Error::Digest { name, wanted: blob.digest.clone(), found })
        }
    }

    fn document(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let name = path.display().to_string();
        let file = self.file(path)?;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { name: name.clone(), source })?;
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            Err(Error::TooLarge { name })
        } else {
            Ok(bytes)
        }
    }

    fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.document(Path::new(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file. What else lies there might never end.
    fn file(&self, path: &Path) -> Result<File, Error> {
        let failed = |source| Error::Read { name: path.display().to_string(), source };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(&self.root, path, flags, Mode::empty(), resolve)
            .map_err(|errno| failed(errno.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode).is_file() {
            Ok(file.into())
        } else {
            Err(failed(io::Error::other("it is not a file")))
        }
    }

    /// The size of a file that describes nothing of itself.
    fn size(&self, path: &Path) -> Result<u64, Error> {
        let failed = |source| Error::Read { name: path.display().to_string(), source };
        Ok(self.file(path)?.metadata().map_err(failed)?.len())
    }
}

fn place(digest: &Digest) -> PathBuf {
    ["blobs", digest.algorithm().name(), digest.hex()].iter().collect()
}

fn json<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Syntax { name: name.to_owned(), source })
}
