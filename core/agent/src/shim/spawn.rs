//! Starts the command with its output in the sandbox.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use karman_container::launch::{self, Files, Started};
use nix::libc;

use super::records::Launch;

/// Why the command did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a file of its own", path.display())]
    Strange { path: PathBuf },
    #[error(transparent)]
    Launch(#[from] launch::Error),
}

/// Returns once the command was executed.
pub(super) fn spawn(launch: &Launch) -> Result<Started, Error> {
    let null = PathBuf::from("/dev/null");
    let stdin = File::open(&null).map_err(|source| Error::Open { path: null, source })?;
    let files = Files {
        stdin: stdin.into(),
        stdout: output(launch, "stdout")?.into(),
        stderr: output(launch, "stderr")?.into(),
    };
    Ok(launch::start(&launch.spec, files)?)
}

/// Opens a file for output. What was unpacked into the sandbox may have put
/// something else there: a link to a file of the machine, say.
fn output(launch: &Launch, name: &str) -> Result<File, Error> {
    let path = launch.sandbox.join(name);
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(&path)
        .and_then(|file| file.metadata().map(|found| (file, found)));
    match opened {
        Ok((file, found)) if found.is_file() && found.nlink() == 1 => Ok(file),
        Ok(_) => Err(Error::Strange { path }),
        Err(source) => Err(Error::Open { path, source }),
    }
}
