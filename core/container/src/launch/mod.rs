//! Does what a plan says.
//!
//! Task: start one process. Inputs: its specification and its files. Outputs:
//! its number, its terminal. A container with processes of its own has a first
//! one that does nothing but make the container and hold it; when it ends, the
//! kernel ends everything inside.

mod enter;
mod first;
mod kernel;
mod mounts;
mod report;
mod rights;
mod terminal;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::libc;
use nix::unistd::User as Account;
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open, waitpid};

use crate::cgroup;
use crate::passwd::Identified;
use crate::plan::{self, From, Kind, Plan, plan};
use crate::process::{self, Identity};
use crate::spec::{Namespace, Root, Spec, User};
use report::Reporter;

/// The kernel spares who waits for a task longer than the task.
const SPARED_SCORE: &str = "-900";
const SCORE_FILE: &str = "/proc/self/oom_score_adj";

/// What a process reads and writes; not used where it has a terminal.
#[derive(Debug)]
pub struct Files {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// It was executed.
#[derive(Debug)]
pub struct Started {
    pub task: u32,
    /// The first process of a container with processes of its own.
    pub init: Option<u32>,
    /// This side of its terminal.
    pub terminal: Option<OwnedFd>,
    /// The group in the group of the container that it has joined.
    pub session: Option<PathBuf>,
}

/// Why it was not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there can be no such container")]
    Spec(#[from] crate::spec::Error),
    #[error("no user '{name}' on this machine")]
    NoUser { name: String },
    #[error(transparent)]
    Group(#[from] cgroup::Error),
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the container to join is gone")]
    Gone,
    #[error("cannot start a process")]
    Process(#[source] io::Error),
    /// What a process said that could not go on.
    #[error("{reason}")]
    Failed { reason: String },
}

/// What all processes of a container need from outside of it.
#[derive(Debug)]
struct Outside {
    /// Written to, to be in the container's groups.
    entrances: Vec<File>,
    /// Namespaces that are joined, but for that of processes.
    joins: Vec<(OwnedFd, i32)>,
    /// The user, where the machine knows his name.
    user: Option<Identified>,
    /// A group of those who join, in that of the container.
    session: Option<PathBuf>,
    /// This process is spared by the kernel, and what it starts is not to be.
    spared: bool,
}

/// Starts the process. Whoever calls this has one thread, and waits for what
/// was started: both are its children.
pub fn start(spec: &Spec, files: Files) -> Result<Started, Error> {
    let plan = plan(spec)?;
    if let (Some(group), Some(limits)) = (&spec.group, &spec.limits) {
        group.create(limits)?;
        if let Some(devices) = plan::allowed(spec) {
            group.allow_devices(&devices)?;
        }
    }
    let outside = outside(spec, &plan)?;
    let mut init = None;
    let inside = if plan.makes.contains(&Kind::Pid) {
        let first = first::start(&plan, &outside)?;
        init = Some(first);
        Some(open(first).map_err(Error::Process)?)
    } else {
        processes_of(&plan)?
    };
    let (task, terminal) = spawn(spec, &plan, &outside, inside.as_ref(), files)
        .inspect_err(|_| init.into_iter().for_each(end))?;
    Ok(Started { task, init, terminal, session: outside.session })
}

fn outside(spec: &Spec, plan: &Plan) -> Result<Outside, Error> {
    let mut entrances = Vec::new();
    let session = spec.group.as_ref().filter(|_| spec.limits.is_none()).map(session);
    let session = session.transpose()?;
    let whole = spec.group.as_ref().filter(|group| session.is_none() || !group.unified);
    let own = session.iter().map(|folder| folder.join("cgroup.procs"));
    // Last the folder within one of the others.
    for path in whole.into_iter().flat_map(cgroup::Group::entrances).chain(own) {
        let opened = OpenOptions::new().write(true).open(&path);
        entrances.push(opened.map_err(|source| Error::Open { path, source })?);
    }
    // Only root may; and only it can restore what it takes from a child.
    let spared = std::fs::write(SCORE_FILE, SPARED_SCORE).is_ok();
    Ok(Outside { entrances, joins: joins(plan)?, user: account(spec)?, session, spared })
}

/// Named after the shim, of which there is one for each.
fn session(group: &cgroup::Group) -> Result<PathBuf, Error> {
    let folder = group.session(&format!("session-{}", std::process::id()));
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Gone),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::Open { path: folder, source: error })
        }
        Ok(()) | Err(_) => Ok(folder),
    }
}

/// The user by the machine's own means, which may be more than a file.
fn account(spec: &Spec) -> Result<Option<Identified>, Error> {
    let User::Named(name) = &spec.user else { return Ok(None) };
    let of_machine =
        spec.root == Root::Host && !matches!(spec.namespaces.mount, Namespace::Join(_));
    if !of_machine || name.contains(':') || name.parse::<u32>().is_ok() {
        return Ok(None);
    }
    let found = Account::from_name(name).ok().flatten();
    let found = found.ok_or_else(|| Error::NoUser { name: name.clone() })?;
    let c_name = std::ffi::CString::new(name.as_str()).unwrap_or_default();
    let groups = nix::unistd::getgrouplist(&c_name, found.gid).unwrap_or_default();
    Ok(Some(Identified {
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        home: None,
    }))
}

/// Namespaces are opened while their files can be seen.
fn joins(plan: &Plan) -> Result<Vec<(OwnedFd, i32)>, Error> {
    let mut joins: Vec<(Identity, OwnedFd, i32)> = Vec::new();
    let mut files = Vec::new();
    for (kind, from) in plan.joins.iter().filter(|(kind, _)| *kind != Kind::Pid) {
        match from {
            From::File(path) => {
                let opened = File::open(path);
                let file = opened.map_err(|source| Error::Open { path: path.clone(), source })?;
                files.push((file.into(), flag(*kind)));
            }
            // All of one process by one call.
            From::Process(init) => match joins.iter_mut().find(|(known, _, _)| known == init) {
                Some((_, _, flags)) => *flags |= flag(*kind),
                None => joins.push((*init, find(*init)?, flag(*kind))),
            },
        }
    }
    files.extend(joins.into_iter().map(|(_, file, flags)| (file, flags)));
    Ok(files)
}

/// The processes that are joined, if any.
fn processes_of(plan: &Plan) -> Result<Option<OwnedFd>, Error> {
    let joined = plan.joins.iter().find_map(|(kind, from)| match (kind, from) {
        (Kind::Pid, From::Process(init)) => Some(*init),
        _ => None,
    });
    joined.map(find).transpose()
}

/// The very process, not a later one with its number.
fn find(init: Identity) -> Result<OwnedFd, Error> {
    let file = open(init.pid).map_err(|_| Error::Gone)?;
    if init.exists() { Ok(file) } else { Err(Error::Gone) }
}

fn open(number: u32) -> io::Result<OwnedFd> {
    let pid = process::pid(number).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn flag(kind: Kind) -> i32 {
    match kind {
        Kind::Mount => libc::CLONE_NEWNS,
        Kind::Pid => libc::CLONE_NEWPID,
        Kind::Ipc => libc::CLONE_NEWIPC,
        Kind::Uts => libc::CLONE_NEWUTS,
        Kind::Cgroup => libc::CLONE_NEWCGROUP,
        Kind::Network => libc::CLONE_NEWNET,
    }
}

fn flags(kinds: impl IntoIterator<Item = Kind>) -> i32 {
    kinds.into_iter().fold(0, |all, kind| all | flag(kind))
}

/// The number of the process that was executed, and its terminal.
fn spawn(
    spec: &Spec,
    plan: &Plan,
    outside: &Outside,
    inside: Option<&OwnedFd>,
    files: Files,
) -> Result<(u32, Option<OwnedFd>), Error> {
    let (reporter, listener) = report::pair().map_err(Error::Process)?;
    let started = match inside {
        None => {
            let task = enter::Task { spec, plan, outside, container: None };
            kernel::fork(0, || task.run(files, reporter)).map_err(Error::Process)?
        }
        Some(container) => {
            let task = enter::Task { spec, plan, outside, container: Some(container) };
            through_another(&task, container, files, reporter)?
        }
    };
    match listener.listen() {
        Ok(terminal) => Ok((started, terminal)),
        Err(reason) => {
            reap(started);
            Err(Error::Failed { reason })
        }
    }
}

/// Only children of a process that has joined live with the others inside. The
/// one in between gives its child to this process, and ends.
fn through_another(
    task: &enter::Task<'_>,
    container: &OwnedFd,
    files: Files,
    reporter: Reporter,
) -> Result<u32, Error> {
    let (teller, listener) = report::pair().map_err(Error::Process)?;
    let between = kernel::fork(0, || {
        let joined = kernel::join(container, libc::CLONE_NEWPID);
        let started = joined
            .and_then(|()| kernel::fork(libc::CLONE_PARENT as u64, || task.run(files, reporter)));
        match started {
            Ok(number) => teller.say_number(number),
            Err(error) => teller.say(&format!("cannot join the container: {error}")),
        }
        0
    });
    let between = between.map_err(Error::Process)?;
    let number = listener.number();
    reap(between);
    number.map_err(|reason| Error::Failed { reason })
}

fn reap(number: u32) {
    if let Some(pid) = process::pid(number) {
        let _gone = waitpid(Some(pid), WaitOptions::empty());
    }
}

/// Everything in its container ends with it.
fn end(first: u32) {
    process::signal(first, rustix::process::Signal::KILL);
    reap(first);
}

/// This process and those below it, as the kernel numbers them here.
fn death_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

#[cfg(test)]
mod tests;
