//! What goes into a process and comes out of it, for whoever connects to the socket
//! of its run folder. Nothing here waits: the shim asks which files are to be
//! watched and calls [`Console::turn`] when one of them has something.

mod client;

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read, write};
use rustix::termios::{Winsize, tcsetwinsize};
use serde::{Deserialize, Serialize};

use self::client::{Client, Wish};
use super::records::RunDir;
use crate::attach::frame::Kind;

/// The name of the socket in the run folder.
pub const SOCKET: &str = "attach.sock";

/// Who looks at the same time, and one who speaks.
const CLIENTS_MAX: usize = 17;

/// Input that the process has not read.
const INPUT_BYTES_MAX: usize = 64 * 1024;

const READ_BYTES: usize = 16 * 1024;

/// Reads in one turn, so that a process that writes without end does not keep the
/// shim from everything else.
const READS_MAX: usize = 16;

/// How a process is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// It lives as long as somebody sees its output.
    pub session: bool,
}

/// The ends of the process that are ours, all non-blocking. With a terminal there
/// is nothing else.
#[derive(Debug, Default)]
pub struct Streams {
    pub terminal: Option<OwnedFd>,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// Where output is kept as well: of stdout and the terminal, and of stderr.
    pub log: Option<(File, File)>,
}

#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    session: bool,
    streams: Streams,
    connected: bool,
    clients: Vec<Client>,
    input: Vec<u8>,
    /// Nothing more will come in.
    input_over: bool,
    /// Somebody has seen output, or was about to.
    was_seen: bool,
    /// All that the process wrote was said.
    told_end: bool,
    killed: bool,
}

impl Console {
    pub fn listen(dir: &RunDir, attach: Attach) -> io::Result<Self> {
        let listener = bind(dir.path())?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            session: attach.session,
            streams: Streams::default(),
            connected: false,
            clients: Vec::new(),
            input: Vec::new(),
            input_over: false,
            was_seen: false,
            told_end: false,
            killed: false,
        })
    }

    /// The process was started.
    pub fn connect(&mut self, streams: Streams) {
        self.streams = streams;
        self.connected = true;
    }

    /// Whether the process must go: its session has nobody who sees it any more.
    pub fn killed(&self) -> bool {
        self.killed
    }

    pub fn files(&self) -> Vec<PollFd<'_>> {
        let mut files = vec![PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
        for client in &self.clients {
            files.push(client.file(self.input.len() < INPUT_BYTES_MAX));
        }
        let wants_input = !self.input.is_empty() || self.input_over;
        let output = if self.may_read() { PollFlags::IN } else { PollFlags::empty() };
        let input = if wants_input { PollFlags::OUT } else { PollFlags::empty() };
        let Streams { terminal, stdin, stdout, stderr, log: _ } = &self.streams;
        let wanted =
            [(terminal, output | input), (stdin, input), (stdout, output), (stderr, output)];
        for (file, flags) in wanted {
            // A file of which nothing is wanted would wake the shim by its end.
            if let Some(file) = file.as_ref().filter(|_| !flags.is_empty()) {
                files.push(PollFd::from_borrowed_fd(file.as_fd(), flags));
            }
        }
        files
    }

    /// Does everything that can be done without waiting.
    pub fn turn(&mut self) {
        self.accept();
        self.hear();
        self.feed();
        self.listen_to_process();
        self.speak();
    }

    /// After the process has ended: true once everybody has been told everything.
    pub fn drain(&mut self) -> bool {
        self.turn();
        let Streams { terminal, stdout, stderr, .. } = &self.streams;
        if self.connected && (terminal.is_some() || stdout.is_some() || stderr.is_some()) {
            return false;
        }
        if !self.told_end && (!self.session || self.was_seen) {
            self.told_end = true;
            self.clients.iter_mut().for_each(|client| client.say(Kind::Ended, b""));
            self.speak();
        }
        // Who has made a session will come for what it wrote.
        self.told_end && self.clients.iter().all(Client::is_served)
    }

    fn accept(&mut self) {
        while self.clients.len() < CLIENTS_MAX {
            let Ok((stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(stream));
            }
        }
    }

    fn hear(&mut self) {
        for number in 0..self.clients.len() {
            let taken = self.clients.iter().any(Client::sends_input);
            let room = INPUT_BYTES_MAX.saturating_sub(self.input.len());
            let Some(client) = self.clients.get_mut(number) else { return };
            for wish in client.hear(taken, room) {
                match wish {
                    Wish::Seen => self.was_seen = true,
                    Wish::Input(bytes) if bytes.is_empty() => self.input_over = true,
                    Wish::Input(bytes) => self.input.extend(bytes),
                    Wish::Resize(rows, columns) => self.resize(rows, columns),
                }
            }
        }
        let lost = self.clients.iter().any(|client| client.is_gone() && client.sees_output());
        self.clients.retain(|client| !client.is_gone());
        let somebody = self.clients.iter().any(Client::sees_output);
        if self.session && lost && !somebody && !self.told_end {
            self.killed = true;
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        if let Some(terminal) = &self.streams.terminal {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A terminal that is gone has no size.
            let _gone = tcsetwinsize(terminal, size);
        }
    }

    /// Writes to the process what it takes.
    fn feed(&mut self) {
        if !self.connected {
            return;
        }
        let Streams { terminal, stdin, .. } = &self.streams;
        let Some(file) = terminal.as_ref().or(stdin.as_ref()) else {
            self.input.clear();
            return;
        };
        while !self.input.is_empty() {
            match write(file, &self.input) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(written) => drop(self.input.drain(..written)),
                Err(Errno::INTR) => {}
                // It reads no more.
                Err(_) => {
                    self.input.clear();
                    self.streams.stdin = None;
                    return;
                }
            }
        }
        if self.input_over {
            // A terminal ends its input by a character, which is the user's.
            self.streams.stdin = None;
        }
    }

    /// Whether there is room for what the process writes: whoever made a session
    /// sees all of it, all others what they keep up with.
    fn may_read(&self) -> bool {
        !self.session || (self.was_seen && !self.clients.iter().any(Client::is_full))
    }

    fn listen_to_process(&mut self) {
        for _ in 0..READS_MAX {
            if !self.connected || !self.may_read() {
                return;
            }
            let mut heard = false;
            for kind in [Kind::Stdout, Kind::Stderr] {
                heard |= self.read_some(kind);
            }
            if !heard {
                return;
            }
        }
    }

    /// True if there was something.
    fn read_some(&mut self, kind: Kind) -> bool {
        let Streams { terminal, stdout, stderr, log, .. } = &mut self.streams;
        let (file, log) = match kind {
            Kind::Stderr => (stderr, log.as_mut().map(|(_, stderr)| stderr)),
            _ if terminal.is_some() => (terminal, log.as_mut().map(|(stdout, _)| stdout)),
            _ => (stdout, log.as_mut().map(|(stdout, _)| stdout)),
        };
        let Some(open) = file.as_ref() else { return false };
        let mut bytes = [0; READ_BYTES];
        match read(open, &mut bytes) {
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            Ok(length) if length > 0 => {
                let bytes = bytes.get(..length).unwrap_or_default();
                if let Some(log) = log {
                    // A full disk loses output, as it does without an audience.
                    let _full = log.write_all(bytes);
                }
                let seers = self.clients.iter_mut().filter(|client| client.sees_output());
                seers.for_each(|client| client.say(kind, bytes));
                true
            }
            // A terminal that nobody has open fails to be read.
            Ok(_) | Err(_) => {
                *file = None;
                false
            }
        }
    }

    fn speak(&mut self) {
        for client in &mut self.clients {
            client.speak();
            if !self.session && client.is_full() {
                client.leave();
            }
        }
    }
}

/// Bound by its name alone: paths of run folders are longer than addresses of
/// sockets may be.
fn bind(folder: &Path) -> io::Result<UnixListener> {
    let before = std::env::current_dir();
    std::env::set_current_dir(folder)?;
    match std::fs::remove_file(SOCKET) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The shim has one thread: nothing else is created meanwhile.
    let mask = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(SOCKET);
    umask(mask);
    std::env::set_current_dir(before.as_deref().unwrap_or(Path::new("/")))?;
    bound
}

#[cfg(test)]
mod tests;
