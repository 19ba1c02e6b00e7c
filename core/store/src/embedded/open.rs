//! Opening the file, and saying in one sentence why it cannot be opened.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::Database;
use redb::backends::FileBackend;

use super::database::{Failure, Open};

/// Pages kept in memory. The state of a large cluster is tens of megabytes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// What redb begins its files with is not zero; see [`File::open_file`].
const MAGIC_BYTES: usize = 9;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder '{}' cannot be used; pass another --data-dir", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("no permission to read and write '{}'; run as its owner or pass another --data-dir", .path.display())]
    Permission { path: PathBuf },
    #[error("another karmand uses this data folder ('{}' is locked); stop it or pass another --data-dir", .path.display())]
    Locked { path: PathBuf },
    #[error("the disk of '{}' is full; free some space and start again", .path.display())]
    Full { path: PathBuf },
    #[error("the store '{}' is damaged ({reason}); restore it from a backup, or move it away to start empty", .path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("the store '{}' was written by a newer karmand (format {format}); start that version instead", .path.display())]
    Newer { path: PathBuf, format: u64 },
    #[error("the store '{}' cannot be opened; check the disk under it", .path.display())]
    Other { path: PathBuf, source: io::Error },
}

/// The file on disk, locked against other processes while this lives.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    _lock: fs::File,
}

impl File {
    /// Creates the folder and takes the lock beside the file. redb locks its
    /// own file too, but only once it has read it, and that is too late for us
    /// to repair a file whose creation was interrupted.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let folder = folder(path);
        fs::create_dir_all(folder).map_err(|source| folder_error(folder, source))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock_path = PathBuf::from(name);
        let lock = options().open(&lock_path).map_err(|error| io_error(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: lock_path }),
            Err(TryLockError::Error(error)) => Err(io_error(&lock_path, error)),
        }
    }

    /// Opens or creates the file. One that begins with zeros is the remains of
    /// a creation that was killed before anything could be stored in it: redb
    /// writes its mark last. It is emptied, and created again.
    fn open_file(&self) -> io::Result<fs::File> {
        let mut file = options().open(&self.path)?;
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        let limit = u64::try_from(MAGIC_BYTES).unwrap_or(u64::MAX);
        file.by_ref().take(limit).read_to_end(&mut magic)?;
        if magic.iter().all(|byte| *byte == 0) {
            file.set_len(0)?;
            // The name of a new file is durable only with its folder.
            fs::File::open(folder(&self.path))?.sync_all()?;
        }
        Ok(file)
    }
}

impl Open for File {
    fn open(&self) -> Result<Database, redb::Error> {
        let file = self.open_file()?;
        let backend = FileBackend::new(file)?;
        let mut builder = Database::builder();
        // Without the check redb trusts a file that was changed by others, and panics.
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        Ok(builder.create_with_backend(backend)?)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Readable by the owner only: values may hold secrets.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

pub(super) fn explain(path: &Path, failure: Failure) -> OpenError {
    let corrupt = |reason: String| OpenError::Corrupt { path: path.to_owned(), reason };
    match failure {
        Failure::Format { found } => OpenError::Newer { path: path.to_owned(), format: found },
        Failure::Thread(source) => OpenError::Other { path: path.to_owned(), source },
        Failure::Engine(redb::Error::DatabaseAlreadyOpen) => {
            OpenError::Locked { path: path.to_owned() }
        }
        Failure::Engine(redb::Error::Io(error)) => io_error(path, error),
        Failure::Engine(redb::Error::UpgradeRequired(version)) => {
            corrupt(format!("old file format {version}"))
        }
        Failure::Engine(redb::Error::Corrupted(reason)) => corrupt(reason),
        Failure::Engine(other) => corrupt(other.to_string()),
    }
}

fn folder_error(folder: &Path, error: io::Error) -> OpenError {
    match io_error(folder, error) {
        OpenError::Other { path, source } => OpenError::Folder { path, source },
        known => known,
    }
}

fn io_error(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::Permission { path }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            OpenError::Corrupt { path, reason: error.to_string() }
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            OpenError::Folder { path, source: error }
        }
        _ => OpenError::Other { path, source: error },
    }
}

#[cfg(test)]
mod tests;
