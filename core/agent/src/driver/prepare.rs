//! Makes the sandbox of a container.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, chown};

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
    #[error("cannot run beside the asynchronous tasks")]
    Join(#[from] io::Error),
}

/// Creates the folder, gives it to `user` and points `latest` beside it at it.
/// Done again after a restart, it changes nothing.
pub(super) fn sandbox(path: &Path, user: Option<&str>) -> Result<(), Error> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    let owner = user.map(owner).transpose()?;
    let (Some(runs), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    fs::create_dir_all(runs).map_err(failed)?;
    match DirBuilder::new().mode(SANDBOX_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    if let Some((uid, gid)) = owner {
        chown(path, Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
    }
    meta::relink(runs, name).map_err(failed)
}

pub(super) fn owner(name: &str) -> Result<(Uid, Gid), Error> {
    let found = User::from_name(name).ok().flatten();
    found.map(|user| (user.uid, user.gid)).ok_or_else(|| Error::NoUser { name: name.to_owned() })
}
