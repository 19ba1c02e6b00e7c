//! Finds what a stack of layers shows under a path, as overlayfs would.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::tree::{is_opaque, is_whiteout};

/// What one layer says of a path.
pub(super) enum Found {
    Here(OwnedFd),
    /// Nothing that lies below is seen.
    Hidden,
    /// Whatever lies below is seen.
    Absent,
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder or file of the topmost layer that has it.
pub(super) fn find(lowers: &[PathBuf], path: &Path) -> Result<Option<OwnedFd>, Errno> {
    for layer in lowers {
        match look(layer, path)? {
            Found::Here(found) => return Ok(Some(found)),
            Found::Hidden => return Ok(None),
            Found::Absent => {}
        }
    }
    Ok(None)
}

/// Opens folders for reading, and files; links and devices hide.
pub(super) fn look(layer: &Path, path: &Path) -> Result<Found, Errno> {
    let mut folder = fs::open(layer, FOLDER, Mode::empty())?;
    let mut opaque = is_opaque(&folder);
    let mut parts = path.iter().peekable();
    while let Some(part) = parts.next() {
        let stat = match fs::statat(&folder, part, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(if opaque { Found::Hidden } else { Found::Absent }),
            Err(errno) => return Err(errno),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if is_whiteout(&stat) {
            return Ok(Found::Hidden);
        }
        if !kind.is_dir() {
            let last = parts.peek().is_none();
            return if last && kind.is_file() { file(&folder, part) } else { Ok(Found::Hidden) };
        }
        folder = fs::openat(&folder, part, FOLDER, Mode::empty())?;
        opaque |= is_opaque(&folder);
    }
    Ok(Found::Here(folder))
}

fn file(folder: &OwnedFd, name: &OsStr) -> Result<Found, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(folder, name, flags, Mode::empty()).map(Found::Here)
}
