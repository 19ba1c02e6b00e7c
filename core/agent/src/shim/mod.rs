//! The parent of one task: `<karmand> shim <run dir>`.
//!
//! It outlives the agent that started it and talks to it through the files of
//! the run folder only. It alone times the grace period of a kill, so that no
//! restart of the agent can forget one. Single-threaded, without a runtime:
//! there is one per task.

pub mod console;
mod descriptors;
pub(crate) mod once;
pub mod records;
mod spawn;
mod supervise;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use karman_rt::time::now_ms;

use crate::disk;
use crate::process::Identity;
use records::{Cause, Claim, Exit, Kill, Launch, RunDir, Running, Stored};
use supervise::{Ended, Supervisor};

/// What the agent reads on the shim's output once the command runs.
pub(crate) const STARTED: &str = "started\n";

/// How often the last record is tried when the disk refuses it, one a second.
const EXIT_ATTEMPTS: usize = 30;

/// Runs one task to its end. Called before any runtime exists.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    descriptors::close_inherited();
    let Some(path) = args.next() else { return ExitCode::from(2) };
    if path == once::ARGUMENT {
        return once::main();
    }
    match run(&RunDir::new(PathBuf::from(path))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads this but an agent that waits for the start.
            let _ignored = writeln!(io::stdout(), "{}", karman_rt::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why a shim left no record of an end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot prepare the process")]
    Process(#[source] io::Error),
    #[error("another shim runs this task")]
    Claimed,
    #[error("cannot use the run folder {}", path.display())]
    RunDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn run(dir: &RunDir) -> Result<(), Error> {
    let mut supervisor = Supervisor::prepare().map_err(Error::Process)?;
    let in_dir = |source| Error::RunDir { path: dir.path().to_owned(), source };
    claim(dir)?;
    let launch: Stored<Launch> = read(dir.launch()).map_err(in_dir)?;
    let launch = launch.newest();

    supervisor.listen(dir, &launch).map_err(in_dir)?;
    let ended = match start(dir, &launch, &mut supervisor) {
        Ok(()) => {
            announce_start();
            supervisor.wait(dir, &launch)
        }
        Err(cause) => Ended { cause, out_of_memory: false, out_of_time: false },
    };
    let Ended { cause, out_of_memory, out_of_time } = ended;
    let exit = Exit {
        cause,
        out_of_memory,
        out_of_time,
        memory_peak_bytes: launch.own_group().and_then(|group| group.memory_peak_bytes()),
        finished_ms: now_ms(),
    };
    let recorded = record(dir, &Stored::V1(exit)).map_err(in_dir);
    if let Some(group) = launch.own_group() {
        group.remove();
    }
    recorded
}

/// Makes this the only shim of the task: an agent that was killed between
/// starting a shim and remembering it starts a second one.
fn claim(dir: &RunDir) -> Result<(), Error> {
    let in_dir = |source| Error::RunDir { path: dir.path().to_owned(), source };
    let shim = Identity::of(std::process::id()).map_err(Error::Process)?;
    let claim =
        serde_json::to_vec(&Stored::V1(Claim { shim })).map_err(|error| in_dir(error.into()))?;
    let own = dir.path().join(format!("shim.{}", shim.pid));
    fs::write(&own, claim).map_err(in_dir)?;
    // A link appears whole or not at all, and never replaces another.
    let linked = fs::hard_link(&own, dir.claim());
    let _ignored = fs::remove_file(&own);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Claimed),
        other => other.map_err(in_dir),
    }
}

fn start(dir: &RunDir, launch: &Launch, supervisor: &mut Supervisor) -> Result<(), Cause> {
    let not_started = |error: &dyn std::error::Error| Cause::NotStarted(karman_rt::chain(error));
    if dir.kill().exists() {
        return Err(Cause::NeverStarted);
    }
    let (started, streams) = spawn::spawn(launch).map_err(|error| not_started(&error))?;
    let (task, init) = (started.task, started.init);
    supervisor.adopt(started, launch, streams);
    if let Ok(task) = Identity::of(task) {
        let init = init.and_then(|init| Identity::of(init).ok());
        let running = Stored::V1(Running { task, init });
        let bytes = serde_json::to_vec(&running).unwrap_or_default();
        // Not synced: it says something about this boot only.
        let temporary = dir.path().join("pid.tmp");
        let _ignored =
            fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, dir.running()));
    }
    Ok(())
}

/// Tells a waiting agent and lets go of it.
fn announce_start() {
    let mut out = io::stdout();
    let _ignored = out.write_all(STARTED.as_bytes()).and_then(|()| out.flush());
    if let Ok(null) = fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ignored = rustix::stdio::dup2_stdout(&null);
    }
}

fn read<T: serde::de::DeserializeOwned>(path: PathBuf) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The kill that was asked for, if any.
fn kill_request(dir: &RunDir) -> Option<Kill> {
    read::<Stored<Kill>>(dir.kill()).ok().map(Stored::newest)
}

fn record(dir: &RunDir, exit: &Stored<Exit>) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        match disk::write_json(&dir.exit(), exit) {
            // A full disk may be emptied; the status is worth the wait.
            Err(_) if attempt < EXIT_ATTEMPTS && dir.path().exists() => attempt += 1,
            other => return other,
        }
        thread::sleep(Duration::from_secs(1));
    }
}
