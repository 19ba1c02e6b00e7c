//! Executes the command: output into the sandbox, own session, inside its
//! control group from its first instruction on.
#![expect(unsafe_code, reason = "the child must enter its control group before it executes")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::SigSet;
use nix::unistd::{User, initgroups, setgid, setuid};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};

use super::records::Launch;

/// The kernel spares the shim longer than its task.
const SHIM_OOM_SCORE: &str = "-900";

/// Why the command did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no user '{name}' on this machine")]
    NoUser { name: String },
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot execute '{program}'")]
    Execute {
        program: String,
        #[source]
        source: io::Error,
    },
}

/// Returns the number of the process once the command was executed.
pub(super) fn spawn(launch: &Launch) -> Result<u32, Error> {
    let user = launch.user.as_deref().map(find_user).transpose()?;
    let (stdout, stderr) =
        (output(launch, "stdout", user.as_ref())?, output(launch, "stderr", user.as_ref())?);
    let mut entrances = Vec::new();
    for path in launch.group.iter().flat_map(|group| group.entrances()) {
        let opened = OpenOptions::new().write(true).open(&path);
        entrances.push(opened.map_err(|source| Error::Open { path, source })?);
    }
    // Only root may; and only it can restore what it takes from the child.
    let spared = std::fs::write("/proc/self/oom_score_adj", SHIM_OOM_SCORE).is_ok();

    let mut command = Command::new(&launch.program);
    if let Some((name, arguments)) = launch.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.sandbox).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    // SAFETY: this process has one thread, so nothing that the closure calls
    // can wait for a lock that another thread held at the fork.
    unsafe {
        command.pre_exec(move || enter(&entrances, user.as_ref(), spared));
    }
    let child = command
        .spawn()
        .map_err(|source| Error::Execute { program: launch.program.clone(), source })?;
    Ok(child.id())
}

/// Opens a file for output. It belongs to the user of the task, who may open
/// it once more as `/dev/stdout`.
fn output(launch: &Launch, name: &str, user: Option<&User>) -> Result<File, Error> {
    let path = launch.sandbox.join(name);
    let opened = OpenOptions::new().create(true).append(true).open(&path).and_then(|file| {
        if let Some(user) = user {
            nix::unistd::fchown(&file, Some(user.uid), Some(user.gid))?;
        }
        Ok(file)
    });
    opened.map_err(|source| Error::Open { path, source })
}

fn find_user(name: &str) -> Result<User, Error> {
    let found = User::from_name(name).ok().flatten();
    found.ok_or_else(|| Error::NoUser { name: name.to_owned() })
}

/// Between fork and execution.
fn enter(entrances: &[File], user: Option<&User>, spared: bool) -> io::Result<()> {
    setsid()?;
    // What the shim waits for by other means, the task must hear.
    SigSet::empty().thread_set_mask()?;
    for mut entrance in entrances {
        entrance.write_all(b"0")?;
    }
    if spared {
        std::fs::write("/proc/self/oom_score_adj", "0")?;
    }
    if let Some(user) = user {
        let name = std::ffi::CString::new(user.name.as_str())?;
        initgroups(&name, user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    // Without its shim nobody could tell how the task ended. Last, because a
    // change of user clears it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
