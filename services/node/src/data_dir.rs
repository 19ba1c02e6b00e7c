//! The data folder: made, locked against a second `karmand`, and checked before
//! anything else starts.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;

/// The embedded store grows in steps of about this size: with less than this
/// free, its first commits fail.
const FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// A folder that belongs to this process while the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held, not read: the lock ends with it.
    _lock: File,
    temporary: Option<TempDir>,
}

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the data folder {} ({}); {}, or choose another with --data-dir", path.display(), reason(source), remedy(source))]
    Unusable { path: PathBuf, source: io::Error },
    #[error("the data folder {} is in use by another karmand{}; stop it or choose another with --data-dir", path.display(), holder(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("the disk of the data folder {} is full ({free_mib} MiB free); free space or choose another with --data-dir", path.display())]
    Full { path: PathBuf, free_mib: u64 },
    #[error("there is no home folder to keep state in; choose a folder with --data-dir")]
    NoHome,
    #[error("the cluster id in {} is not valid; restore that file or choose another folder with --data-dir", path.display())]
    ClusterId { path: PathBuf },
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "give this user read and write access to it",
        io::ErrorKind::ReadOnlyFilesystem => "mount its disk writable",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "move the file that is in its place away"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
        _ => "make it readable and writable",
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

impl DataDir {
    /// Makes `path` ready and takes it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(unusable)?;
        let path = std::fs::canonicalize(path).map_err(unusable)?;
        let free = free_bytes(&path).map_err(unusable)?;
        if free < FREE_BYTES_MIN {
            return Err(Error::Full { path, free_mib: free / 1024 / 1024 });
        }
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock, temporary: None })
    }

    /// A new folder that is removed when the value is dropped.
    pub fn temporary() -> Result<Self, Error> {
        let unusable = |source| Error::Unusable { path: std::env::temp_dir(), source };
        let folder = tempfile::Builder::new().prefix("karman-").tempdir().map_err(unusable)?;
        let opened = Self::open(folder.path())?;
        Ok(Self { temporary: Some(folder), ..opened })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// The id of the cluster whose state this is; made at the first start.
    pub fn cluster_id(&self) -> Result<String, Error> {
        let path = self.path.join("cluster-id");
        match std::fs::read_to_string(&path) {
            Ok(text) => match Uuid::parse_str(text.trim()) {
                Ok(id) => Ok(id.to_string()),
                Err(_) => Err(Error::ClusterId { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = Uuid::new_v4().to_string();
                write_durably(&path, &id).map_err(|source| Error::Unusable { path, source })?;
                Ok(id)
            }
            Err(source) => Err(Error::Unusable { path, source }),
        }
    }
}

/// Where state lies when nobody says: `var` looks up environment variables.
pub fn default_path(root: bool, var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    if root {
        return Ok(PathBuf::from("/var/lib/karman"));
    }
    let absolute = |name: &str| var(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("karman"))
        .ok_or(Error::NoHome)
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(io::Error::from)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let unusable = |source| Error::Unusable { path: folder.to_owned(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only to name the other process; without it the message is shorter.
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(Error::InUse { path: folder.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(unusable)?;
    writeln!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(file)
}

/// The file has the whole text or does not exist, also after a crash.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
