//! Gives a layer what it takes from those below it: the looks of folders that
//! it only implies, and files that it links to.
//!
//! A folder that is made because something lies inside would hide the owner and
//! mode of the one below: a `/tmp` that nobody can write to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::layer::{Unpacked, hides_below};
use super::lower::{Found, find, look};
use super::path::{shown, split};
use super::{Error, Limits};

/// Of one attribute, and of the names of all.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;

/// `lowers` are the settled layers below, topmost first. Returns the bytes that
/// were copied, of which there may be no more than `bytes_max`.
pub(crate) fn settle(
    layer: &Path,
    unpacked: &Unpacked,
    lowers: &[PathBuf],
    limits: Limits,
) -> Result<u64, Error> {
    let Unpacked { implied, borrowed, .. } = unpacked;
    let mut borrower = Borrower { layer, lowers, limits, bytes: 0, copies: BTreeMap::new() };
    for (path, target) in borrowed {
        borrower.borrow(path, target)?;
    }
    inherit(layer, implied, lowers)?;
    Ok(borrower.bytes)
}

fn failed(path: &Path) -> impl Fn(Errno) -> Error + '_ {
    |errno| Error::Write { path: shown(path.as_os_str().as_bytes()), source: errno.into() }
}

fn inherit(layer: &Path, implied: &BTreeSet<PathBuf>, lowers: &[PathBuf]) -> Result<(), Error> {
    for path in implied {
        let own = match look(layer, path).map_err(failed(path))? {
            Found::Here(own) => own,
            // It was replaced by something else later in the layer.
            Found::Hidden | Found::Absent => continue,
        };
        if is_cut_off(layer, path).map_err(failed(path))? {
            continue;
        }
        if let Some(lower) = find(lowers, path).map_err(failed(path))? {
            resemble(&own, &lower).map_err(failed(path))?;
        }
    }
    Ok(())
}

/// Whether something in the layer hides what lies below at this path.
fn is_cut_off(layer: &Path, path: &Path) -> Result<bool, Errno> {
    for above in path.ancestors() {
        if let Found::Here(folder) = look(layer, above)?
            && hides_below(&folder)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives one file or folder the looks of another.
fn resemble(own: &OwnedFd, other: &OwnedFd) -> Result<(), Errno> {
    let stat = fs::fstat(other)?;
    if rustix::process::geteuid().is_root() {
        fs::fchown(own, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    copy_attributes(own, other)?;
    fs::fchmod(own, Mode::from_raw_mode(stat.st_mode))?;
    let nanoseconds = stat.st_mtime_nsec.try_into().unwrap_or_default();
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: nanoseconds };
    fs::futimens(own, &Timestamps { last_access: time, last_modification: time })
}

fn copy_attributes(own: &OwnedFd, other: &OwnedFd) -> Result<(), Errno> {
    let mut names = vec![0; ATTRIBUTE_BYTES_MAX];
    let length = match fs::flistxattr(other.as_fd(), &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    names.truncate(length);
    let mut value = vec![0; ATTRIBUTE_BYTES_MAX];
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // What overlayfs notes is true of the layer that it is noted in.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let length = fs::fgetxattr(other.as_fd(), name, &mut value[..])?;
        let copied = value.get(..length).unwrap_or_default();
        match fs::fsetxattr(own, name, copied, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Copies the files that the layer links to without having them, each once.
struct Borrower<'a> {
    layer: &'a Path,
    lowers: &'a [PathBuf],
    limits: Limits,
    bytes: u64,
    copies: BTreeMap<&'a Path, (OwnedFd, &'a OsStr)>,
}

impl<'a> Borrower<'a> {
    fn borrow(&mut self, path: &'a Path, target: &'a Path) -> Result<(), Error> {
        let missing = || Error::LinkTarget {
            path: shown(path.as_os_str().as_bytes()),
            target: shown(target.as_os_str().as_bytes()),
        };
        let (above, name) = split(path).ok_or_else(missing)?;
        let Found::Here(folder) = look(self.layer, above).map_err(failed(path))? else {
            return Err(missing());
        };
        if let Some((first, first_name)) = self.copies.get(target) {
            return fs::linkat(first, *first_name, &folder, name, AtFlags::empty())
                .map_err(failed(path));
        }
        let found = find(self.lowers, target).map_err(failed(target))?.ok_or_else(missing)?;
        let stat = fs::fstat(&found).map_err(failed(target))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(missing());
        }
        self.account(u64::try_from(stat.st_size).unwrap_or_default(), &folder)?;
        copy(found, &folder, name, path)?;
        self.copies.insert(target, (folder, name));
        Ok(())
    }

    /// Layers that copy each other's files grow without any data of their own.
    fn account(&mut self, bytes: u64, folder: &OwnedFd) -> Result<(), Error> {
        let Limits { bytes_max, free_bytes_min, entries_max: _ } = self.limits;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        let disk = fs::fstatvfs(folder).map_err(failed(self.layer))?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < free_bytes_min.saturating_add(bytes) {
            return Err(Error::DiskFull { free_bytes_min });
        }
        Ok(())
    }
}

fn copy(from: OwnedFd, folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let own = fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
        .map_err(failed(path))?;
    let (mut from, mut to) = (File::from(from), File::from(own));
    std::io::copy(&mut from, &mut to)
        .map_err(|source| Error::Write { path: shown(path.as_os_str().as_bytes()), source })?;
    resemble(&to.into(), &from.into()).map_err(failed(path))
}
