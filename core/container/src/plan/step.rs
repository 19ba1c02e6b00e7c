//! One thing to do. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::spec::{Capability, Device, MountOption, Rlimit, Seccomp, Size, Source, User};

/// Its text says what is done, and what could not be done if it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// What is mounted from now on is not seen outside.
    Detach,
    Hostname(String),
    /// The loopback interface of a new network is brought up.
    Loopback,
    /// A source of the machine is kept in a slot.
    Take {
        slot: usize,
        source: Source,
        recursive: bool,
    },
    /// An overlay of these is mounted, to be the next root.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    /// The overlay becomes the root, and the machine's tree is let go of.
    Pivot,
    /// Nothing is there any more, but for what is put there later.
    Hide(PathBuf),
    /// What a slot holds gets its place.
    Put {
        slot: usize,
        at: PathBuf,
        read_only: bool,
        options: Vec<MountOption>,
        /// The place is made if there is none.
        make: bool,
    },
    /// A file system of the kernel's own gets its place.
    Mount {
        what: Filesystem,
        at: PathBuf,
        read_only: bool,
        options: Vec<MountOption>,
        make: bool,
        /// Left out where the machine has no such place or file system.
        optional: bool,
    },
    Device(Device),
    Link {
        at: PathBuf,
        to: PathBuf,
    },
    /// What is there cannot be read any more.
    Mask(PathBuf),
    /// What is there can only be read from now on.
    Seal(PathBuf),

    /// The process leads a session of its own.
    Session,
    /// It has a terminal instead of files.
    Terminal(Size),
    Limit(Rlimit),
    /// The user is looked up, and a terminal given to him.
    Find(User),
    /// It starts in this folder.
    Directory {
        path: PathBuf,
        make: bool,
    },
    /// It can never have other rights than these.
    Bound(BTreeSet<Capability>),
    Filter(Seccomp),
    /// It becomes that user.
    Become {
        keep: bool,
    },
    /// It has these rights, whoever it is.
    Grant(BTreeSet<Capability>),
    NoNewPrivileges,
    /// It ends with its shim.
    Bind,
    Execute(String),
}

/// File systems that have no source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filesystem {
    Tmpfs { bytes: Option<u64>, mode: u32 },
    Proc,
    Sys,
    Devpts,
    Mqueue,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detach => f.write_str("detach the mounts from the machine's"),
            Self::Hostname(name) => write!(f, "set the hostname {name}"),
            Self::Loopback => f.write_str("bring up the loopback interface"),
            Self::Take { slot, source, recursive } => {
                let all = if *recursive { " with all below" } else { "" };
                write!(f, "take {}{all} into slot {slot}", Shown(source))
            }
            Self::Overlay { lower, upper, work } => {
                let lower: Vec<String> =
                    lower.iter().map(|path| path.display().to_string()).collect();
                let (upper, work) = (upper.display(), work.display());
                write!(f, "overlay {} with {upper}, working in {work}", lower.join(" on "))
            }
            Self::Pivot => f.write_str("make the overlay the root"),
            Self::Hide(path) => write!(f, "hide {}", path.display()),
            Self::Put { slot, at, read_only, options, make } => {
                let how = How { read_only: *read_only, options, make: *make, optional: false };
                write!(f, "put slot {slot} at {}{how}", at.display())
            }
            Self::Mount { what, at, read_only, options, make, optional } => {
                let how = How { read_only: *read_only, options, make: *make, optional: *optional };
                write!(f, "mount {what} at {}{how}", at.display())
            }
            Self::Device(device) => {
                let (path, kind) = (device.path.display(), device.kind);
                write!(f, "make {path}, {kind:?} device {}:{}", device.major, device.minor)
            }
            Self::Link { at, to } => write!(f, "link {} to {}", at.display(), to.display()),
            Self::Mask(path) => write!(f, "mask {}", path.display()),
            Self::Seal(path) => write!(f, "make {} read-only", path.display()),
            Self::Session => f.write_str("begin a session"),
            Self::Terminal(size) => {
                write!(f, "open a terminal of {} rows, {} columns", size.rows, size.columns)
            }
            Self::Limit(limit) => {
                let side = |side: Option<u64>| {
                    side.map_or_else(|| "unlimited".to_owned(), |side| side.to_string())
                };
                let (soft, hard) = (side(limit.soft), side(limit.hard));
                write!(f, "limit {} to {soft}, at most {hard}", limit.resource)
            }
            Self::Find(User::Own) => f.write_str("stay the same user"),
            Self::Find(User::Named(name)) => write!(f, "find the user '{name}'"),
            Self::Find(User::Ids { uid, gid, groups }) => {
                write!(f, "find the user {uid}:{gid} in groups {groups:?}")
            }
            Self::Directory { path, make } => {
                let made = if *make { ", made if missing" } else { "" };
                write!(f, "enter the folder {}{made}", path.display())
            }
            Self::Bound(all) => write!(f, "keep no rights but {}", Names(all)),
            Self::Filter(Seccomp::Unconfined) => f.write_str("filter no system calls"),
            Self::Filter(Seccomp::Default) => f.write_str("filter system calls as usual"),
            Self::Filter(Seccomp::Profile(_)) => f.write_str("filter system calls by a profile"),
            Self::Become { keep: false } => f.write_str("become the user"),
            Self::Become { keep: true } => f.write_str("become the user, keeping rights"),
            Self::Grant(all) => write!(f, "have the rights {}", Names(all)),
            Self::NoNewPrivileges => f.write_str("gain no privileges"),
            Self::Bind => f.write_str("end with the shim"),
            Self::Execute(program) => write!(f, "execute '{program}'"),
        }
    }
}

/// In brackets, how something is mounted.
struct How<'a> {
    read_only: bool,
    options: &'a [MountOption],
    make: bool,
    optional: bool,
}

impl fmt::Display for How<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.read_only.then_some("ro"));
        words.extend(self.options.iter().map(|option| match option {
            MountOption::NoSuid => "nosuid",
            MountOption::NoDev => "nodev",
            MountOption::NoExec => "noexec",
        }));
        words.extend(self.make.then_some("made if missing"));
        words.extend(self.optional.then_some("if possible"));
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(", ")) }
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tmpfs { bytes: None, mode } => write!(f, "a tmpfs, mode {mode:o}"),
            Self::Tmpfs { bytes: Some(bytes), mode } => {
                write!(f, "a tmpfs of {bytes} bytes, mode {mode:o}")
            }
            Self::Proc => f.write_str("proc"),
            Self::Sys => f.write_str("sysfs"),
            Self::Devpts => f.write_str("devpts"),
            Self::Mqueue => f.write_str("mqueue"),
        }
    }
}

struct Shown<'a>(&'a Source);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Source::Bind(path) => write!(f, "{}", path.display()),
            Source::Below { folder, path } => {
                write!(f, "{} below {}", path.display(), folder.display())
            }
            Source::Image(layers) => write!(f, "an image of {} layers", layers.len()),
            Source::Tmpfs { .. }
            | Source::Proc
            | Source::Sys
            | Source::Devpts
            | Source::Shm { .. }
            | Source::Mqueue => f.write_str("nothing"),
        }
    }
}

struct Names<'a>(&'a BTreeSet<Capability>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.0.iter().map(|capability| capability.name()).collect();
        f.write_str(&names.join(" "))
    }
}
