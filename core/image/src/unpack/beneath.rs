//! Single files below a folder that others write to.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Gid, OFlags, Uid};

use super::path::shown;
use super::tree::{Links, Tree};
use super::{Error, Limits, Owner};

/// An empty file, instead of whatever was there, in folders that are made.
pub(crate) fn create_beneath(
    folder: &Path,
    path: &Path,
    owner: Option<Owner>,
) -> Result<File, Error> {
    let mut tree = Tree::open(folder, Links::Beneath, Limits::default())?;
    let file = tree.create(path)?;
    if let Some(Owner { uid, gid }) = owner {
        tree.give_implied(uid, gid)?;
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| failed(path, errno.into()))?;
    }
    Ok(file)
}

/// A regular file; no link is followed at its end.
pub(crate) fn open_beneath(folder: &Path, path: &Path) -> Result<File, Error> {
    let tree = Tree::open(folder, Links::Beneath, Limits::default())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = tree.lookup(path, flags).map_err(|errno| failed(path, errno.into()))?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed(path, errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode).is_file() {
        Ok(file.into())
    } else {
        Err(Error::Kind { path: shown(path.as_os_str().as_bytes()), what: "no file" })
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Write { path: shown(path.as_os_str().as_bytes()), source }
}
