//! Puts together what a container sees as `/`.
//!
//! Task: performs the steps that are about files. Inputs: the steps. Output: the
//! tree of this process' own mount namespace.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, makedev,
    mknodat, openat2, statx,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::kernel;
use crate::plan::{Filesystem, Step};
use crate::spec::{Device, Kind, MountOption, Source};

/// What a hidden folder, or one of devices, can hold.
const EMPTY_BYTES: u64 = 64 << 10;
const EMPTY_MODE: u32 = 0o755;

/// Who may write to terminals besides their owner: the group `tty` of all
/// systems.
const TTY_GROUP: &str = "5";

const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEV: u64 = 4;
const NO_EXEC: u64 = 8;

/// What is between two steps.
#[derive(Debug, Default)]
pub(super) struct Tree {
    slots: Vec<OwnedFd>,
    overlay: PathBuf,
}

impl Tree {
    /// Whether the step was one about files.
    pub(super) fn perform(&mut self, step: &Step) -> io::Result<bool> {
        match step {
            Step::Detach => {
                let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
                nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
            }
            Step::Take { slot: _, source, recursive } => self.slots.push(take(source, *recursive)?),
            Step::Overlay { lower, upper, work } => {
                overlay(lower, Some((upper, work)), upper)?;
                self.overlay.clone_from(upper);
            }
            Step::Pivot => pivot(&self.overlay)?,
            Step::Hide(path) => hide(path)?,
            Step::Put { slot, at, read_only, options, make } => {
                let Some(mount) = self.slots.get(*slot) else {
                    return Err(io::ErrorKind::NotFound.into());
                };
                kernel::set_mount_attributes(mount, attributes(*read_only, options), true)?;
                if *make {
                    make_place(mount, at)?;
                }
                attach(mount, at)?;
            }
            Step::Mount { what, at, read_only, options, make, optional } => {
                let result = filesystem(what, at, attributes(*read_only, options), *make);
                match result {
                    Err(error) if *optional && is_missing(&error) => {}
                    other => other?,
                }
            }
            Step::Device(device) => make_device(device)?,
            Step::Link { at, to } => link(at, to)?,
            Step::Mask(path) => mask(path)?,
            Step::Seal(path) => seal(path)?,
            Step::Hostname(_)
            | Step::Loopback
            | Step::Session
            | Step::Terminal(_)
            | Step::Limit(_)
            | Step::Find(_)
            | Step::Directory { .. }
            | Step::Bound(_)
            | Step::Filter(_)
            | Step::Become { .. }
            | Step::Grant(_)
            | Step::NoNewPrivileges
            | Step::Bind
            | Step::Execute(_) => return Ok(false),
        }
        Ok(true)
    }
}

/// The machine has no such place, or the kernel no such file system.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

fn attributes(read_only: bool, options: &[MountOption]) -> u64 {
    let each = options.iter().map(|option| match option {
        MountOption::NoSuid => NO_SUID,
        MountOption::NoDev => NO_DEV,
        MountOption::NoExec => NO_EXEC,
    });
    each.chain(read_only.then_some(READ_ONLY)).fold(0, |all, one| all | one)
}

/// A mount that is nowhere yet.
fn take(source: &Source, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    match source {
        Source::Bind(path) => Ok(open_tree(CWD, path, flags)?),
        Source::Below { folder, path } => {
            let found = open_below(folder, path)?;
            Ok(open_tree(found, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?)
        }
        Source::Image(layers) => image(layers, flags),
        Source::Tmpfs { .. }
        | Source::Proc
        | Source::Sys
        | Source::Devpts
        | Source::Shm { .. }
        | Source::Mqueue => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// What lies below a folder, however its contents are linked.
fn open_below(folder: &Path, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(folder, path, flags, Mode::empty(), resolve)?)
}

fn image(layers: &[PathBuf], flags: OpenTreeFlags) -> io::Result<OwnedFd> {
    let Some(top) = layers.first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    if layers.len() == 1 {
        return Ok(open_tree(CWD, top, flags)?);
    }
    overlay(layers, None, top)?;
    let taken = open_tree(CWD, top, flags)?;
    nix::mount::umount2(top, MntFlags::MNT_DETACH)?;
    Ok(taken)
}

/// Layers are named by the numbers of their descriptors: the kernel takes no
/// more than a page of names, and no path with a colon in it.
fn overlay(lower: &[PathBuf], writable: Option<(&Path, &Path)>, at: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| rustix::fs::open(path, flags, Mode::empty());
    let held = lower.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let number = |folder: &OwnedFd| folder.as_raw_fd().to_string();
    let names: Vec<String> = held.iter().map(number).collect();
    let mut options = format!("lowerdir={}", names.join(":"));
    let above = writable.map(|(upper, work)| Ok::<_, Errno>((open(upper)?, open(work)?)));
    let above = above.transpose()?;
    if let Some((upper, work)) = &above {
        options.push_str(&format!(",upperdir={},workdir={}", number(upper), number(work)));
    }
    std::env::set_current_dir("/proc/self/fd")?;
    let kind = Some("overlay");
    let mounted = nix::mount::mount(kind, at, kind, MsFlags::empty(), Some(options.as_str()));
    std::env::set_current_dir("/")?;
    Ok(mounted?)
}

/// What was `/` lies below what is now `/`, until it is let go of.
fn pivot(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", ".")?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")
}

fn attach(mount: &OwnedFd, at: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    Ok(move_mount(mount, "", CWD, at, flags)?)
}

/// A folder for a folder, an empty file for anything else.
fn make_place(mount: &OwnedFd, at: &Path) -> io::Result<()> {
    if at.exists() {
        return Ok(());
    }
    let kind = FileType::from_raw_mode(rustix::fs::fstat(mount)?.st_mode);
    if kind == FileType::Directory {
        return fs::create_dir_all(at);
    }
    if let Some(parent) = at.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(at).map(drop)
}

fn filesystem(what: &Filesystem, at: &Path, attributes: u64, make: bool) -> io::Result<()> {
    let mount = new_filesystem(what, attributes)?;
    if make {
        fs::create_dir_all(at)?;
    }
    attach(&mount, at)
}

fn new_filesystem(what: &Filesystem, attributes: u64) -> io::Result<OwnedFd> {
    let name = match what {
        Filesystem::Tmpfs { .. } => "tmpfs",
        Filesystem::Proc => "proc",
        Filesystem::Sys => "sysfs",
        Filesystem::Devpts => "devpts",
        Filesystem::Mqueue => "mqueue",
    };
    let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options(what) {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = u32::try_from(attributes).map_err(io::Error::other)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn options(what: &Filesystem) -> Vec<(&'static str, String)> {
    match what {
        Filesystem::Tmpfs { bytes, mode } => {
            let mut options = vec![("mode", format!("{mode:o}"))];
            options.extend(bytes.map(|bytes| ("size", bytes.to_string())));
            options
        }
        Filesystem::Devpts => {
            vec![("mode", "620".into()), ("ptmxmode", "666".into()), ("gid", TTY_GROUP.into())]
        }
        Filesystem::Proc | Filesystem::Sys | Filesystem::Mqueue => Vec::new(),
    }
}

fn empty(attributes: u64) -> io::Result<OwnedFd> {
    new_filesystem(
        &Filesystem::Tmpfs { bytes: Some(EMPTY_BYTES), mode: EMPTY_MODE },
        attributes | NO_SUID | NO_DEV | NO_EXEC,
    )
}

/// Something empty is put over it; what is not there is hidden already.
fn cover(path: &Path, attributes: u64) -> io::Result<()> {
    let kind = match fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let cover = if kind.is_dir() {
        empty(attributes)?
    } else {
        take(&Source::Bind("/dev/null".into()), false)?
    };
    attach(&cover, path)
}

/// Places are made in it before it is sealed.
fn hide(path: &Path) -> io::Result<()> {
    cover(path, 0)
}

fn mask(path: &Path) -> io::Result<()> {
    cover(path, READ_ONLY)
}

fn seal(path: &Path) -> io::Result<()> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    let found = match found {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        let mount = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        return kernel::set_mount_attributes(mount, READ_ONLY, false);
    }
    let mount = take(&Source::Bind(path.to_owned()), true)?;
    kernel::set_mount_attributes(&mount, READ_ONLY, true)?;
    attach(&mount, path)
}

fn make_device(device: &Device) -> io::Result<()> {
    let Device { path, kind, major, minor, mode, access: _ } = device;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let kind = match kind {
        Kind::Character => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
    };
    mknodat(CWD, path, kind, Mode::from_raw_mode(*mode), makedev(*major, *minor))?;
    // What this process would not give to others counts above.
    fs::set_permissions(path, fs::Permissions::from_mode(*mode))
}

fn link(at: &Path, to: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(to, at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
