//! What the installer keeps on a machine: the record, and a lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::Machine;
use crate::layout::INSTALLER;
use crate::steps::Record;

/// Raised when an older installer could not read the record.
const VERSION: u32 = 1;

/// The record; empty where nothing was done yet.
pub(super) fn load(machine: &Machine) -> anyhow::Result<Record> {
    let path = machine.path(&format!("{INSTALLER}/record.json"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Record { version: VERSION, ..Record::default() });
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let record: Record = serde_json::from_str(&text).with_context(|| {
        format!("{} is not a record of this version of the installer", path.display())
    })?;
    if record.version > VERSION {
        bail!("{} was written by a newer installer; use that one", path.display());
    }
    Ok(record)
}

/// Keeps the record, durably: what is done next relies on it.
pub(super) fn save(machine: &Machine, record: &Record) -> anyhow::Result<()> {
    let folder = machine.path(INSTALLER);
    let cannot = || format!("cannot write the record in {}", folder.display());
    fs::create_dir_all(&folder).with_context(cannot)?;
    let text = serde_json::to_string_pretty(record)?;
    durably(&folder.join("record.json"), text.as_bytes(), 0o600).with_context(cannot)
}

/// The file has all bytes or is as it was, also after a crash.
pub(super) fn durably(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Keeps other installers from this machine until it is dropped.
pub(super) fn lock(machine: &Machine) -> anyhow::Result<File> {
    let folder = machine.path(INSTALLER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"))
        .with_context(|| format!("cannot open the lock in {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another installer works on this machine; wait until it is done and repeat")
        }
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock this machine"),
    }
}
