//! A folder that entries are made in. Every path is found by the kernel from
//! the root downwards, and cannot leave it.

mod attributes;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub(super) use attributes::{
    Attributes, Ownership, Policy, Times, is_opaque, is_whiteout, make_opaque,
};

use super::path::{shown, split};
use super::tar::Piece;
use super::{Error, Limits};

/// Folders that nobody described.
const IMPLIED_MODE: Mode = Mode::from_raw_mode(0o755);

/// Looks at the disk again after so much was written.
const FREE_CHECK_BYTES: u64 = 64 << 20;

const COPY_BYTES: usize = 256 << 10;

/// What links lead to on the way to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Absolute ones start at the root, `..` ends there: as in a container.
    InRoot,
    /// Those that lead out are refused.
    Beneath,
}

/// What stood in the place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Directory,
    /// Hides what lies below.
    Whiteout,
    Other,
}

pub(super) struct Tree {
    root: Rc<OwnedFd>,
    resolve: ResolveFlags,
    limits: Limits,
    /// Entries of a folder follow each other.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Folders that were made because something is to be inside.
    implied: BTreeSet<PathBuf>,
    written: u64,
    written_unchecked: u64,
    buffer: Vec<u8>,
}

fn write_error(path: &Path) -> impl Fn(Errno) -> Error + '_ {
    move |errno| match errno {
        Errno::XDEV | Errno::LOOP => Error::Escapes { path: shown(path.as_os_str().as_bytes()) },
        _ => Error::Write { path: shown(path.as_os_str().as_bytes()), source: errno.into() },
    }
}

impl Tree {
    pub(super) fn open(root: &Path, links: Links, limits: Limits) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = fs::open(root, flags, Mode::empty())
            .map_err(|source| Error::Open { path: root.to_owned(), source: source.into() })?;
        let resolve = match links {
            Links::InRoot => ResolveFlags::IN_ROOT,
            Links::Beneath => ResolveFlags::BENEATH,
        };
        Ok(Self {
            root: Rc::new(root),
            resolve: resolve | ResolveFlags::NO_MAGICLINKS,
            limits,
            last: None,
            implied: BTreeSet::new(),
            written: 0,
            written_unchecked: 0,
            buffer: vec![0; COPY_BYTES],
        })
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_implied(self) -> BTreeSet<PathBuf> {
        self.implied
    }

    /// An entry describes the folder after all.
    pub(super) fn is_described(&mut self, path: &Path) {
        self.implied.remove(path);
    }

    pub(super) fn lookup(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), self.resolve)
    }

    /// A folder that is there, or is made with all that it lies in.
    pub(super) fn folder(&mut self, path: &Path) -> Result<Rc<OwnedFd>, Error> {
        if path.as_os_str().is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some((_, folder)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(folder));
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let folder = match self.lookup(path, flags) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => {
                self.imply(path)?;
                self.lookup(path, flags).map_err(write_error(path))?
            }
            Err(errno) => return Err(write_error(path)(errno)),
        };
        let folder = Rc::new(folder);
        self.last = Some((path.to_owned(), Rc::clone(&folder)));
        Ok(folder)
    }

    fn imply(&mut self, path: &Path) -> Result<(), Error> {
        let Some((above, name)) = split(path) else { return Ok(()) };
        let above_folder = self.folder(above)?;
        match fs::mkdirat(&above_folder, name, IMPLIED_MODE) {
            Ok(()) => {
                self.implied.insert(path.to_owned());
                // Whatever the umask of this process.
                fs::chmodat(&above_folder, name, IMPLIED_MODE, AtFlags::empty())
                    .map_err(write_error(path))
            }
            // A link to something that is not there: the lookup says so.
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(write_error(path)(errno)),
        }
    }

    /// The folder of an entry and its name; `None` for the root.
    pub(super) fn place<'a>(
        &mut self,
        path: &'a Path,
    ) -> Result<Option<(Rc<OwnedFd>, &'a OsStr)>, Error> {
        let Some((above, name)) = split(path) else { return Ok(None) };
        Ok(Some((self.folder(above)?, name)))
    }

    pub(super) fn before(folder: &OwnedFd, name: &OsStr) -> Result<Before, Errno> {
        match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_whiteout(&stat) => Ok(Before::Whiteout),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(Before::Directory),
            Ok(_) => Ok(Before::Other),
            Err(Errno::NOENT) => Ok(Before::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Makes room for an entry.
    pub(super) fn clear(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        path: &Path,
    ) -> Result<Before, Error> {
        let before = Self::before(folder, name).map_err(write_error(path))?;
        match before {
            Before::Nothing => return Ok(before),
            Before::Directory => {
                let inside = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
                std::fs::remove_dir_all(inside.join(name)).map_err(|source| Error::Write {
                    path: shown(path.as_os_str().as_bytes()),
                    source,
                })?;
                self.implied.retain(|implied| !implied.starts_with(path));
            }
            Before::Whiteout | Before::Other => {
                fs::unlinkat(folder, name, AtFlags::empty()).map_err(write_error(path))?;
            }
        }
        // It may have led through what is no longer there.
        self.last = None;
        Ok(before)
    }

    pub(super) fn file(
        &mut self,
        path: &Path,
        data: &mut impl Read,
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        let file = self.create(path)?;
        self.copy(data, &file, path)?;
        attributes.give(file.as_fd()).map_err(write_error(path))
    }

    pub(super) fn sparse(
        &mut self,
        path: &Path,
        (size, pieces): (u64, &[Piece]),
        data: &mut impl Read,
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        // Whoever copies the file writes its holes.
        self.account(size)?;
        let file = self.create(path)?;
        let failed = |source| Error::Write { path: shown(path.as_os_str().as_bytes()), source };
        file.set_len(size).map_err(failed)?;
        for Piece { offset, length } in pieces {
            let (mut at, mut left) = (*offset, *length);
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                let part = self.buffer.get_mut(..part).unwrap_or_default();
                data.read_exact(part).map_err(super::meter::reason)?;
                file.write_all_at(part, at).map_err(failed)?;
                at += part.len() as u64;
                left -= part.len() as u64;
            }
        }
        attributes.give(file.as_fd()).map_err(write_error(path))
    }

    /// An empty file, instead of whatever was there.
    pub(super) fn create(&mut self, path: &Path) -> Result<File, Error> {
        let Some((folder, name)) = self.place(path)? else {
            return Err(write_error(path)(Errno::ISDIR));
        };
        self.clear(&folder, name, path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        fs::openat(&folder, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
            .map(File::from)
            .map_err(write_error(path))
    }

    fn copy(&mut self, data: &mut impl Read, mut file: &File, path: &Path) -> Result<(), Error> {
        loop {
            let read = match data.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(super::meter::reason(error)),
            };
            self.account(read as u64)?;
            let part = self.buffer.get(..read).unwrap_or_default();
            file.write_all(part).map_err(|source| Error::Write {
                path: shown(path.as_os_str().as_bytes()),
                source,
            })?;
        }
    }

    /// What is written counts, and must leave room on the disk.
    fn account(&mut self, bytes: u64) -> Result<(), Error> {
        let bytes_max = self.limits.bytes_max;
        self.written = self.written.saturating_add(bytes);
        if self.written > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        self.written_unchecked += bytes;
        if self.written_unchecked >= FREE_CHECK_BYTES {
            self.written_unchecked = 0;
            self.check_free()?;
        }
        Ok(())
    }

    fn check_free(&self) -> Result<(), Error> {
        let free_bytes_min = self.limits.free_bytes_min;
        match fs::fstatvfs(&self.root) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < free_bytes_min => {
                Err(Error::DiskFull { free_bytes_min })
            }
            _ => Ok(()),
        }
    }

    /// What was there before it.
    pub(super) fn directory(
        &mut self,
        path: &Path,
        attributes: &Attributes<'_>,
    ) -> Result<Before, Error> {
        let Some((folder, name)) = self.place(path)? else {
            attributes.give(self.root.as_fd()).map_err(write_error(path))?;
            return Ok(Before::Directory);
        };
        let mut before = Self::before(&folder, name).map_err(write_error(path))?;
        if before != Before::Directory {
            before = self.clear(&folder, name, path)?;
            fs::mkdirat(&folder, name, Mode::from_raw_mode(0o700)).map_err(write_error(path))?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = fs::openat(&folder, name, flags, Mode::empty()).map_err(write_error(path))?;
        attributes.give(made.as_fd()).map_err(write_error(path))?;
        Ok(before)
    }

    pub(super) fn symlink(
        &mut self,
        path: &Path,
        target: &[u8],
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        let Some((folder, name)) = self.place(path)? else {
            return Err(write_error(path)(Errno::ISDIR));
        };
        if target.is_empty() || target.len() > super::path::PATH_BYTES_MAX || target.contains(&0) {
            let path = shown(path.as_os_str().as_bytes());
            return Err(Error::Path { path, problem: "the target of the link cannot be one" });
        }
        self.clear(&folder, name, path)?;
        fs::symlinkat(OsStr::from_bytes(target), &folder, name).map_err(write_error(path))?;
        attributes.give_at(&folder, name).map_err(write_error(path))
    }

    /// False if the target is not there.
    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<bool, Error> {
        let missing = |errno: &Errno| matches!(*errno, Errno::NOENT | Errno::NOTDIR);
        let Some((above, target_name)) = split(target) else {
            return Err(write_error(path)(Errno::ISDIR));
        };
        let source = match self.lookup(above, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(source) => source,
            Err(errno) if missing(&errno) => return Ok(false),
            Err(errno) => return Err(write_error(target)(errno)),
        };
        match Self::before(&source, target_name).map_err(write_error(target))? {
            Before::Nothing | Before::Whiteout => return Ok(false),
            Before::Directory => return Err(write_error(target)(Errno::ISDIR)),
            Before::Other => {}
        }
        let Some((folder, name)) = self.place(path)? else {
            return Err(write_error(path)(Errno::ISDIR));
        };
        if same_place(&source, target_name, &folder, name) {
            return Ok(true);
        }
        self.clear(&folder, name, path)?;
        match fs::linkat(&source, target_name, &folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // It was inside of what made room.
            Err(errno) if missing(&errno) => Ok(false),
            Err(errno) => Err(write_error(path)(errno)),
        }
    }

    pub(super) fn node(
        &mut self,
        path: &Path,
        kind: FileType,
        device: u64,
        attributes: &Attributes<'_>,
    ) -> Result<(), Error> {
        let Some((folder, name)) = self.place(path)? else {
            return Err(write_error(path)(Errno::ISDIR));
        };
        self.clear(&folder, name, path)?;
        fs::mknodat(&folder, name, kind, Mode::from_raw_mode(0o600), device)
            .map_err(write_error(path))?;
        attributes.give_at(&folder, name).map_err(write_error(path))
    }

    /// Hands over the folders that nobody described.
    pub(super) fn give_implied(&mut self, uid: u32, gid: u32) -> Result<(), Error> {
        let (uid, gid) = (fs::Uid::from_raw(uid), fs::Gid::from_raw(gid));
        for path in &self.implied {
            let Ok(folder) = self.lookup(path, OFlags::DIRECTORY | OFlags::NOFOLLOW) else {
                continue;
            };
            fs::fchown(&folder, Some(uid), Some(gid)).map_err(write_error(path))?;
        }
        Ok(())
    }

    /// Folders get their times last: what is made inside changes them.
    pub(super) fn set_times(&self, path: &Path, times: &Times) -> Result<(), Error> {
        // It may have been replaced by something else since.
        let Ok(folder) = self.lookup(path, OFlags::DIRECTORY | OFlags::NOFOLLOW) else {
            return Ok(());
        };
        fs::futimens(&folder, times).map_err(write_error(path))
    }
}

fn same_place(a: &OwnedFd, a_name: &OsStr, b: &OwnedFd, b_name: &OsStr) -> bool {
    let stat = |folder, name| fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    match (stat(a, a_name), stat(b, b_name)) {
        // Linking two names of one file changes nothing.
        (Some(a), Some(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}
