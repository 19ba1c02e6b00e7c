//! Owner, mode, extended attributes and times of what is made.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::unpack::tar::{Entry, Modified};

pub(in crate::unpack) type Times = Timestamps;

/// What an entry may have of what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unpack) struct Policy {
    pub(in crate::unpack) owner: Ownership,
    /// Bits of the mode that are kept.
    pub(in crate::unpack) mode_mask: u32,
    /// Bits of the mode that are added, so that the owner can use it.
    pub(in crate::unpack) mode_added: u32,
    pub(in crate::unpack) extended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unpack) enum Ownership {
    /// As it is written.
    Kept,
    Given {
        uid: u32,
        gid: u32,
    },
    /// Whoever runs this.
    Own,
}

pub(in crate::unpack) struct Attributes<'a> {
    owner: Option<(Uid, Gid)>,
    mode: Mode,
    times: Times,
    extended: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Attributes<'a> {
    pub(in crate::unpack) fn of(entry: &'a Entry, policy: &Policy) -> Self {
        let Policy { owner, mode_mask, mode_added, extended } = *policy;
        let owner = match owner {
            Ownership::Kept => Some((entry.uid, entry.gid)),
            Ownership::Given { uid, gid } => Some((uid, gid)),
            Ownership::Own => None,
        };
        let is_id = |id: u32| id != u32::MAX;
        let owner = owner.filter(|(uid, gid)| is_id(*uid) && is_id(*gid));
        Self {
            owner: owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))),
            mode: Mode::from_raw_mode(entry.mode & mode_mask | mode_added),
            times: times(entry.modified),
            extended: if extended { &entry.attributes } else { &[] },
        }
    }

    pub(in crate::unpack) fn times(&self) -> Times {
        self.times.clone()
    }

    /// In an order in which none undoes another: a new owner clears
    /// capabilities and the setuid bit.
    pub(in crate::unpack) fn give(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner {
            fs::fchown(file, Some(uid), Some(gid))?;
        }
        for (name, value) in self.extended.iter().filter(|(name, _)| is_allowed(name)) {
            let set = fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty());
            tolerate(set)?;
        }
        fs::fchmod(file, self.mode)?;
        fs::futimens(file, &self.times)
    }

    /// For what cannot be opened: links and devices.
    pub(in crate::unpack) fn give_at(&self, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if let Some((uid, gid)) = self.owner {
            fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
            // Nobody else is in this folder who could put a link there.
            fs::chmodat(folder, name, self.mode, AtFlags::empty())?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
            for (name, value) in self.extended.iter().filter(|(name, _)| is_allowed(name)) {
                let name = OsStr::from_bytes(name);
                tolerate(fs::lsetxattr(&path, name, value, XattrFlags::empty()))?;
            }
        }
        fs::utimensat(folder, name, &self.times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// What means something to programs in a container. What means something to
/// overlayfs would let an image point into the host, and labels of the host's
/// policies are the host's.
fn is_allowed(name: &[u8]) -> bool {
    let users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    let access = [&b"system.posix_acl_access"[..], b"system.posix_acl_default"];
    let known = users || name == b"security.capability" || access.contains(&name);
    known && name.len() <= super::super::path::NAME_BYTES_MAX && !name.contains(&0)
}

/// Not every file system has them, and not everybody may set them.
fn tolerate(set: Result<(), Errno>) -> Result<(), Errno> {
    match set {
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        other => other,
    }
}

pub(super) fn times(modified: Modified) -> Times {
    let Modified { seconds, nanoseconds } = modified;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// How overlayfs writes that something is gone.
pub(in crate::unpack) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

/// The mark of a folder that hides all below it; without root the kernel takes
/// another, if the overlay is mounted with `userxattr`.
fn opaque_mark() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "trusted.overlay.opaque"
    } else {
        "user.overlay.opaque"
    }
}

pub(in crate::unpack) fn make_opaque(folder: &OwnedFd) -> Result<(), Errno> {
    fs::fsetxattr(folder, opaque_mark(), b"y", XattrFlags::empty())
}

pub(in crate::unpack) fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    let read = fs::fgetxattr(folder.as_fd(), opaque_mark(), &mut value[..]);
    read.is_ok_and(|read| read == 1) && value == *b"y"
}
