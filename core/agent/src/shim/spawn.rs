//! Starts the command with its output in the sandbox.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use karman_container::launch::{self, Files, Started};
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::pipe2;

use super::console::Streams;
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
    #[error("cannot make a pipe")]
    Pipe(#[source] io::Error),
    #[error(transparent)]
    Launch(#[from] launch::Error),
}

/// Returns once the command was executed, with our ends of its input and output
/// where somebody may attach to them.
pub(super) fn spawn(launch: &Launch) -> Result<(Started, Streams), Error> {
    let (files, mut streams) = match launch.attached() {
        None => (to_sandbox(launch)?, Streams::default()),
        Some(attach) if launch.spec.process.terminal.is_some() => {
            let log = if attach.session { None } else { Some(log(launch)?) };
            (silent()?, Streams { log, ..Streams::default() })
        }
        Some(attach) => piped(launch, attach.session)?,
    };
    let mut started = launch::start(&launch.spec, files)?;
    if let Some(terminal) = started.terminal.take() {
        ours(&terminal).map_err(Error::Pipe)?;
        streams.terminal = Some(terminal);
    }
    Ok((started, streams))
}

fn to_sandbox(launch: &Launch) -> Result<Files, Error> {
    let (stdout, stderr) = log(launch)?;
    Ok(Files { stdin: null()?, stdout: stdout.into(), stderr: stderr.into() })
}

fn log(launch: &Launch) -> Result<(File, File), Error> {
    Ok((output(launch, "stdout")?, output(launch, "stderr")?))
}

/// Until it has a terminal.
fn silent() -> Result<Files, Error> {
    Ok(Files { stdin: null()?, stdout: null()?, stderr: null()? })
}

fn null() -> Result<OwnedFd, Error> {
    let path = PathBuf::from("/dev/null");
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    opened.map(OwnedFd::from).map_err(|source| Error::Open { path, source })
}

fn piped(launch: &Launch, session: bool) -> Result<(Files, Streams), Error> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|error| Error::Pipe(error.into()));
    let (stdin, to) = pipe()?;
    let (from_out, stdout) = pipe()?;
    let (from_err, stderr) = pipe()?;
    for end in [&to, &from_out, &from_err] {
        ours(end).map_err(Error::Pipe)?;
    }
    let streams = Streams {
        terminal: None,
        stdin: Some(to),
        stdout: Some(from_out),
        stderr: Some(from_err),
        log: if session { None } else { Some(log(launch)?) },
    };
    Ok((Files { stdin, stdout, stderr }, streams))
}

/// The shim waits for all of them at once.
fn ours(end: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(end, true)?)
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
