//! Waits for the task, ends it when told to or out of time, and leaves no
//! process behind.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use karman_container::launch::Started;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, getpgid, set_child_subreaper, setsid, wait};

use super::console::{Console, Streams};
use super::kill_request;
use super::records::{Cause, Launch, RunDir};
use crate::cgroup::{Group, processes_in};
use crate::process::{descendants, pid, signal, signal_group};

/// How long processes that do not die of SIGKILL (stuck in the kernel) hold up
/// the report of the end.
const LEFTOVERS_MAX: Duration = Duration::from_secs(10);

/// Between two rounds of SIGKILL for processes that were just being born.
const SWEEP: Duration = Duration::from_millis(20);

/// How often the run folder is looked for: seldom, since there is one shim per
/// task.
const LOOK: Duration = Duration::from_secs(30);

/// How long somebody who looks at the output may take to read the end of it, or
/// who made a session to come for it.
const OUTPUT_MAX: Duration = Duration::from_secs(10);

/// How long after the alarm the kernel may take to kill.
const SUSPECT: Duration = Duration::from_secs(1);

pub(super) struct Ended {
    pub(super) cause: Cause,
    pub(super) out_of_memory: bool,
    pub(super) out_of_time: bool,
}

/// The state of the one task of this shim.
pub(super) struct Supervisor {
    signals: SignalFd,
    task: u32,
    group: Option<Group>,
    /// Where the processes are that joined another container with this one.
    session: Option<PathBuf>,
    /// Becomes readable when memory runs out (first generation only).
    memory: Option<OwnedFd>,
    /// When the run folder is looked for.
    look_at: Option<Instant>,
    /// Until when somebody may have been killed for lack of memory.
    suspect: Option<Instant>,
    /// When the task has run long enough.
    completion: Option<Instant>,
    /// When SIGKILL follows the SIGTERM that was sent.
    deadline: Option<Instant>,
    out_of_time: bool,
    killed_for_memory: bool,
    /// Where others get at the input and output.
    console: Option<Console>,
}

impl Supervisor {
    /// Makes this process its own session and the one that inherits all
    /// orphans of its task.
    pub(super) fn prepare() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in [NixSignal::SIGCHLD, NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGHUP]
        {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // Fails only for one that leads a session already, as wanted.
        let _ignored = setsid();
        set_child_subreaper(pid(process::id()))?;
        Ok(Self {
            signals,
            task: 0,
            group: None,
            session: None,
            memory: None,
            look_at: None,
            suspect: None,
            completion: None,
            deadline: None,
            out_of_time: false,
            killed_for_memory: false,
            console: None,
        })
    }

    /// Before the start: who knows of the process can attach to it.
    pub(super) fn listen(&mut self, dir: &RunDir, launch: &Launch) -> io::Result<()> {
        self.console = launch.attached().map(|how| Console::listen(dir, how)).transpose()?;
        Ok(())
    }

    pub(super) fn adopt(&mut self, started: Started, launch: &Launch, streams: Streams) {
        self.task = started.task;
        self.session = started.session;
        if let Some(console) = &mut self.console {
            console.connect(streams);
        }
        self.group = launch.own_group().cloned();
        self.memory = launch.own_group().and_then(memory_alarm);
        self.look_at = Some(Instant::now() + LOOK);
        self.completion =
            launch.completion_ms_max.map(|limit| Instant::now() + Duration::from_millis(limit));
    }

    /// Returns once the task and everything it started are gone.
    pub(super) fn wait(&mut self, dir: &RunDir, launch: &Launch) -> Ended {
        // It may have been asked for before the signal could be heard.
        self.heed(dir);
        let cause = loop {
            if let Some(cause) = self.reap() {
                break cause;
            }
            self.sleep(self.next_deadline());
            self.read_signals(dir);
            self.check_folder(dir, launch);
            self.check_memory();
            self.check_time(launch);
            self.check_console();
        };
        self.sweep();
        self.drain();
        let oom_kills = self.group.as_ref().map_or(0, Group::oom_kills);
        let failed = cause != Cause::Status(0);
        Ended {
            cause,
            out_of_memory: self.killed_for_memory
                || (oom_kills > 0 && failed && self.deadline.is_none()),
            out_of_time: self.out_of_time,
        }
    }

    /// Collects the dead; the task's own end if it is among them.
    fn reap(&self) -> Option<Cause> {
        while let Ok(Some((dead, status))) = wait(WaitOptions::NOHANG) {
            if u32::try_from(dead.as_raw_nonzero().get()) == Ok(self.task) {
                let signal = status.terminating_signal().map(Cause::Signal);
                return Some(
                    signal
                        .unwrap_or_else(|| Cause::Status(status.exit_status().unwrap_or_default())),
                );
            }
        }
        None
    }

    fn next_deadline(&self) -> Option<Instant> {
        let look = self.suspect.map(|_| Instant::now() + SWEEP);
        self.completion.into_iter().chain(self.deadline).chain(look).chain(self.look_at).min()
    }

    /// Until a signal, the memory alarm or the deadline.
    fn sleep(&self, until: Option<Instant>) {
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut files = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        files.extend(self.console.iter().flat_map(Console::files));
        files.extend(
            self.memory.iter().map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)),
        );
        // Interrupted: the caller looks at everything again anyway.
        let _ignored = poll(&mut files, timeout.as_ref());
    }

    fn read_signals(&mut self, dir: &RunDir) {
        while let Ok(Some(received)) = self.signals.read_signal() {
            if i64::from(received.ssi_signo) == i64::from(NixSignal::SIGTERM as i32) {
                self.heed(dir);
            }
        }
    }

    /// Does what the kill record says; a bare SIGTERM means nothing.
    fn heed(&mut self, dir: &RunDir) {
        if let Some(kill) = kill_request(dir) {
            self.kill(Duration::from_millis(kill.grace_ms), kill.quiet);
        }
    }

    fn kill(&mut self, grace: Duration, quiet: bool) {
        let first = self.deadline.is_none();
        let deadline = Instant::now() + grace;
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        if first && !quiet {
            self.terminate();
        }
    }

    /// SIGTERM to the whole tree, as `os::killtree` of the original does.
    fn terminate(&self) {
        let own_group =
            |number: u32| pid(number).and_then(|pid| getpgid(Some(pid)).ok()) == pid(self.task);
        let outside: Vec<u32> =
            descendants(process::id()).into_iter().filter(|number| !own_group(*number)).collect();
        signal_group(self.task, Signal::TERM);
        for number in outside {
            signal(number, Signal::TERM);
        }
    }

    /// The alarm comes before the kernel has chosen and counted its victim, or
    /// finds none to need: for a while it is looked at again.
    fn check_memory(&mut self) {
        let Some(alarm) = &self.memory else { return };
        let now = Instant::now();
        let mut count = [0; 8];
        if rustix::io::read(alarm, &mut count).is_ok() {
            self.suspect = Some(now + SUSPECT);
        }
        let Some(until) = self.suspect else { return };
        if self.group.as_ref().is_some_and(|group| group.oom_kills() > 0) {
            // Whoever the kernel chose: a task that lost a part is ended whole.
            self.killed_for_memory = true;
            self.suspect = None;
            self.memory = None;
            self.kill_everything();
        } else if until <= now {
            self.suspect = None;
        }
    }

    /// Without its run folder nobody knows of the task, can end it or learn of
    /// its end: it has no place any more.
    fn check_folder(&mut self, dir: &RunDir, launch: &Launch) {
        let now = Instant::now();
        if self.look_at.is_some_and(|look| look <= now) {
            self.look_at = Some(now + LOOK);
            if matches!(dir.path().try_exists(), Ok(false)) {
                self.kill(Duration::from_millis(launch.grace_ms), false);
            }
        }
    }

    fn check_time(&mut self, launch: &Launch) {
        let now = Instant::now();
        if self.completion.is_some_and(|limit| limit <= now) {
            self.completion = None;
            if self.deadline.is_none() {
                self.out_of_time = true;
                self.kill(Duration::from_millis(launch.grace_ms), false);
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.kill_everything();
            // Again, should anything be born meanwhile.
            self.deadline = Some(now + Duration::from_secs(1));
        }
    }

    fn check_console(&mut self) {
        let Some(console) = &mut self.console else { return };
        console.turn();
        if console.killed() && self.deadline.is_none() {
            self.kill(Duration::ZERO, true);
        }
    }

    /// What the task wrote at last is still read by those who want it.
    fn drain(&mut self) {
        let give_up = Instant::now() + OUTPUT_MAX;
        while self.console.as_mut().is_some_and(|console| !console.drain())
            && Instant::now() < give_up
        {
            self.sleep(Some(give_up));
        }
    }

    /// SIGKILL to everything that the task started. Whatever it did with
    /// sessions and parents, it is below this process or in the group.
    fn kill_everything(&self) {
        let mut all = descendants(process::id());
        if let Some(group) = &self.group {
            all.extend(group.processes());
        }
        if let Some(folder) = &self.session {
            all.extend(processes_in(folder));
        }
        for number in all {
            signal(number, Signal::KILL);
        }
    }

    /// After the task ended: ends what it left behind.
    fn sweep(&self) {
        self.sweep_children();
        let Some(folder) = &self.session else { return };
        let give_up = Instant::now() + LEFTOVERS_MAX;
        // Orphans inside are the children of another first process.
        while std::fs::remove_dir(folder).is_err() && folder.exists() && Instant::now() < give_up {
            self.kill_everything();
            self.sleep(Some(Instant::now() + SWEEP));
        }
    }

    fn sweep_children(&self) {
        let give_up = Instant::now() + LEFTOVERS_MAX;
        loop {
            // No child at all: nothing is left.
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            if matches!(wait(WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD))
                || Instant::now() > give_up
            {
                return;
            }
            self.kill_everything();
            self.sleep(Some(Instant::now() + SWEEP));
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
    }
}

/// A file that becomes readable when the kernel runs out of memory for the
/// group. The second generation needs none: it ends the group as a whole.
fn memory_alarm(group: &Group) -> Option<OwnedFd> {
    use rustix::event::{EventfdFlags, eventfd};
    use std::os::fd::AsRawFd as _;
    if group.unified {
        return None;
    }
    let control = std::fs::File::open(group.memory.join("memory.oom_control")).ok()?;
    let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
    let registration = format!("{} {}", alarm.as_raw_fd(), control.as_raw_fd());
    std::fs::write(group.memory.join("cgroup.event_control"), registration).ok()?;
    Some(alarm)
}
