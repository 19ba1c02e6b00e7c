//! Makes the sandbox of a container.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, chown};

use super::Parent;
use crate::admit::Link;
use crate::meta;

/// Others on the machine do not look into a sandbox.
const SANDBOX_MODE: u32 = 0o750;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no user '{name}' on this machine")]
    NoUser { name: String },
    #[error("cannot create the sandbox {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot put the persistent volume {} into the sandbox", volume.display())]
    Link {
        volume: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot run beside the asynchronous tasks")]
    Join(#[from] io::Error),
}

/// Everybody passes through the sandbox of an executor to those of its tasks.
const PASSAGE_MODE: u32 = 0o711;

/// Creates the sandbox of a task inside of that of its executor, where it is
/// found by the name of the task as well.
pub(super) fn nested(parent: &Parent, path: &Path, user: Option<&str>) -> Result<(), Error> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    make(&parent.sandbox, None, PASSAGE_MODE)?;
    for folder in ["containers", "tasks"] {
        fs::create_dir_all(parent.sandbox.join(folder)).map_err(failed)?;
    }
    folder(path, user.map(owner).transpose()?, SANDBOX_MODE).map_err(failed)?;
    let Some(name) = path.file_name() else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let link = parent.sandbox.join("tasks").join(&parent.task_id);
    let target = Path::new("../containers").join(name);
    match symlink(&target, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Of this very launch, or of an earlier task of that name.
            fs::remove_file(&link).and_then(|()| symlink(&target, &link)).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Creates the folder, gives it to `user` and points `latest` beside it at it.
/// Done again after a restart, it changes nothing.
pub(super) fn sandbox(path: &Path, user: Option<&str>) -> Result<(), Error> {
    make(path, user, SANDBOX_MODE)
}

/// Creates a folder for what is written by a container inside of another.
pub(super) fn inner(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    folder(path, None, SANDBOX_MODE).map_err(failed)
}

fn make(path: &Path, user: Option<&str>, mode: u32) -> Result<(), Error> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    let owner = user.map(owner).transpose()?;
    let (Some(runs), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    fs::create_dir_all(runs).map_err(failed)?;
    folder(path, owner, mode).map_err(failed)?;
    meta::relink(runs, name).map_err(failed)
}

fn folder(path: &Path, owner: Option<(Uid, Gid)>, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match owner {
        Some((uid, gid)) => Ok(chown(path, Some(uid), Some(gid))?),
        None => Ok(()),
    }
}

/// Puts volumes into a sandbox, where a task without mounts of its own reaches
/// them, and gives them to its user. Done again, it changes nothing.
pub(super) fn links(sandbox: &Path, links: &[Link], user: Option<&str>) -> Result<(), Error> {
    let owner = user.map(owner).transpose()?;
    for Link { at, volume, own, read_only: _ } in links {
        let failed = |source| Error::Link { volume: volume.clone(), source };
        fs::read_dir(volume).map_err(failed)?;
        let path = sandbox.join(at);
        if let Some(parent) = path.parent() {
            folders(sandbox, parent, owner).map_err(failed)?;
        }
        match symlink(volume, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read_link(&path).ok().as_ref() != Some(volume) {
                    return Err(failed(error));
                }
            }
            other => other.map_err(failed)?,
        }
        if let (true, Some((uid, gid))) = (*own, owner) {
            chown(volume, Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(())
}

/// The folders between a sandbox and a path in it, for the user of the task.
fn folders(sandbox: &Path, path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    if path == sandbox || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), |parent| folders(sandbox, parent, owner))?;
    fs::create_dir(path)?;
    match owner {
        Some((uid, gid)) => Ok(chown(path, Some(uid), Some(gid))?),
        None => Ok(()),
    }
}

pub(super) fn owner(name: &str) -> Result<(Uid, Gid), Error> {
    let found = User::from_name(name).ok().flatten();
    found.map(|user| (user.uid, user.gid)).ok_or_else(|| Error::NoUser { name: name.to_owned() })
}
