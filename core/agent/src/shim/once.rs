//! One process inside of a running container, without a record of it: a check.
//! Reads what to run, waits for it for a limited time, says how it ended, and
//! leaves nothing of it behind.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use karman_container::Spec;
use karman_container::launch::{self, Files, Started};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    PidfdFlags, Signal, WaitOptions, pidfd_open, set_child_subreaper, setsid, wait, waitpid,
};
use serde::{Deserialize, Serialize};

use super::records::Cause;
use crate::cgroup::processes_in;
use crate::process::{descendants, pid, signal};

/// In place of a run folder: the order comes by the standard input.
pub(crate) const ARGUMENT: &str = "-";

/// How long processes that do not die of SIGKILL hold up the answer.
const LEFTOVERS_MAX: Duration = Duration::from_secs(2);
const SWEEP: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) spec: Spec,
    pub(crate) limit_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Ended(Cause),
    OutOfTime,
}

pub(super) fn main() -> ExitCode {
    let answer = run().unwrap_or_else(|error| not_started(&error));
    let said = serde_json::to_vec(&answer).map_err(io::Error::from);
    match said.and_then(|bytes| io::stdout().write_all(&bytes)) {
        Ok(()) => ExitCode::SUCCESS,
        // Who asked is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn not_started(error: &dyn std::error::Error) -> Answer {
    Answer::Ended(Cause::NotStarted(karman_rt::chain(error)))
}

fn run() -> io::Result<Answer> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let Order { spec, limit_ms } = serde_json::from_slice(&bytes)?;
    // Fails only for one that leads a session already, as wanted.
    let _ignored = setsid();
    set_child_subreaper(pid(process::id()))?;
    let started = match launch::start(&spec, silence()?) {
        Ok(started) => started,
        Err(error) => return Ok(not_started(&error)),
    };
    let answer = follow(&started, Duration::from_millis(limit_ms));
    clear(&started);
    answer
}

fn silence() -> io::Result<Files> {
    let null = || OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Files { stdin: null()?, stdout: null()?, stderr: null()? })
}

fn follow(started: &Started, limit: Duration) -> io::Result<Answer> {
    let task = pid(started.task).ok_or(io::ErrorKind::InvalidInput)?;
    let file = pidfd_open(task, PidfdFlags::empty())?;
    let timeout = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut files = [PollFd::new(&file, PollFlags::IN)];
    if poll(&mut files, Some(&timeout))? == 0 {
        return Ok(Answer::OutOfTime);
    }
    let ended = waitpid(Some(task), WaitOptions::empty())?.map(|(_, status)| status);
    let cause = ended.and_then(|status| {
        let signal = status.terminating_signal().map(Cause::Signal);
        signal.or_else(|| status.exit_status().map(Cause::Status))
    });
    Ok(Answer::Ended(cause.unwrap_or(Cause::NeverStarted)))
}

/// Ends all that is left of it, wherever it went.
fn clear(started: &Started) {
    let give_up = Instant::now() + LEFTOVERS_MAX;
    loop {
        let mut left = descendants(process::id());
        left.extend(started.session.iter().flat_map(|folder| processes_in(folder)));
        for number in &left {
            signal(*number, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let removed = started.session.as_ref().is_none_or(|folder| fs::remove_dir(folder).is_ok());
        if (left.is_empty() && removed) || Instant::now() > give_up {
            return;
        }
        thread::sleep(SWEEP);
    }
}
