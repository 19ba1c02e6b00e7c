//! The folder of the store: names of files, and writing them whole.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock, syncfs};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::HoldError;
use super::record::Stored;
use crate::digest::Digest;

/// Layers hold programs that may become root: nobody else looks inside.
const MODE: u32 = 0o700;

/// Of the digest of a chain. Overlays name all their layers in one page, so a
/// folder's name is shorter than the digest, and still nobody finds two chains
/// with the same.
const LAYER_NAME_DIGITS: usize = 40;

/// Names of files end here.
const ID_BYTES_MAX: usize = 250;

#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

pub(super) const FOLDERS: [&str; 6] = ["images", "layers", "holds", "uploads", "work", "trash"];

impl Disk {
    /// `None` if another process has it.
    pub(super) fn open(root: &Path) -> io::Result<Option<Self>> {
        let folder = |path: &Path| DirBuilder::new().recursive(true).mode(MODE).create(path);
        folder(root)?;
        let root = root.canonicalize()?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(root.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        for name in FOLDERS {
            folder(&root.join(name))?;
        }
        Ok(Some(Self { root, _lock: lock }))
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn names(&self) -> PathBuf {
        self.root.join("names.json")
    }

    pub(super) fn image(&self, digest: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.json", digest.hex()))
    }

    pub(super) fn layer(&self, chain: &Digest) -> PathBuf {
        let hex: String = chain.hex().chars().take(LAYER_NAME_DIGITS).collect();
        self.root.join("layers").join(hex)
    }

    pub(super) fn layer_record(&self, chain: &Digest) -> PathBuf {
        self.layer(chain).with_extension("json")
    }

    /// A new folder that the next process removes if this one does not.
    pub(super) fn work(&self) -> io::Result<Work> {
        let path = self.root.join("work").join(uuid::Uuid::new_v4().to_string());
        DirBuilder::new().mode(MODE).create(&path)?;
        Ok(Work { path, trash: self.trash() })
    }

    fn trash(&self) -> PathBuf {
        self.root.join("trash").join(uuid::Uuid::new_v4().to_string())
    }

    /// Out of sight at once; [`Disk::sweep`] removes it.
    pub(super) fn discard(&self, path: &Path) -> io::Result<()> {
        match fs::rename(path, self.trash()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what was discarded. What something still writes to goes later.
    pub(super) fn sweep(&self) {
        let trash = self.root.join("trash");
        for entry in fs::read_dir(&trash).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            if let Err(error) = removed {
                warn!(path = %path.display(), error = error.to_string(), "cannot remove what is not needed");
            }
        }
    }

    /// Everything that was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(syncfs(File::open(&self.root)?)?)
    }

    /// Whole or not at all, and on the disk before this returns.
    pub(super) fn write<T: Serialize>(&self, path: &Path, value: T) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&Stored::V1(value))?)?;
        file.sync_data()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// `None` if it is absent or cannot be understood; then it is set aside.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &Path) -> io::Result<Option<T>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Stored<T>>(&bytes) {
            Ok(stored) => Ok(Some(stored.newest())),
            Err(error) => {
                let aside = path.with_extension("corrupt");
                warn!(file = %path.display(), aside = %aside.display(), error = error.to_string(), "record of an image set aside");
                fs::rename(path, aside)?;
                Ok(None)
            }
        }
    }

    /// Not synced: no container survives what would lose it.
    pub(super) fn write_hold(&self, container_id: &str, digest: &Digest) -> Result<(), HoldError> {
        let path = self.hold(container_id)?;
        let temporary = self.root.join("work").join(uuid::Uuid::new_v4().to_string());
        fs::write(&temporary, digest.to_string())?;
        Ok(fs::rename(&temporary, &path)?)
    }

    pub(super) fn remove_hold(&self, container_id: &str) -> Result<(), HoldError> {
        match fs::remove_file(self.hold(container_id)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn hold(&self, container_id: &str) -> Result<PathBuf, HoldError> {
        let plain = !container_id.is_empty()
            && container_id.len() <= ID_BYTES_MAX
            && container_id != "."
            && container_id != ".."
            && !container_id.contains(['/', '\0']);
        if plain {
            Ok(self.root.join("holds").join(container_id))
        } else {
            Err(HoldError::Id { id: container_id.chars().take(ID_BYTES_MAX).collect() })
        }
    }

    /// Remembers that an image was used now, in the time of its record.
    pub(super) fn touch(&self, digest: &Digest) {
        let touched = File::options()
            .write(true)
            .open(self.image(digest))
            .and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            warn!(image = %digest, error = error.to_string(), "cannot note the use of an image");
        }
    }

    pub(super) fn used_ms(&self, digest: &Digest) -> u64 {
        let modified = fs::metadata(self.image(digest)).and_then(|data| data.modified());
        modified.map_or(0, millis)
    }

    /// For whom is not root, and of all.
    pub(super) fn space(&self) -> io::Result<Space> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(Space {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
}

pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A folder in the making. Dropped, it is out of sight at once.
#[derive(Debug)]
pub(super) struct Work {
    path: PathBuf,
    trash: PathBuf,
}

impl Work {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Whatever stays is removed by the next process.
        let _stays = fs::rename(&self.path, &self.trash);
    }
}
