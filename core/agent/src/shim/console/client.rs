//! One who is connected to a console.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags};

use crate::attach::frame::{Decoder, Kind, SENDS_INPUT, WANTS_OUTPUT, encode, read_size};

/// What waits for one who does not read.
const UNREAD_BYTES_MAX: usize = 1024 * 1024;

const READ_BYTES: usize = 16 * 1024;

/// What somebody wants of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see what it writes.
    Seen,
    /// Empty: there is no more.
    Input(Vec<u8>),
    Resize(u16, u16),
}

#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    decoder: Decoder,
    unread: VecDeque<u8>,
    /// What it said that it wants; `None` before.
    wants: Option<u8>,
    gone: bool,
    /// It is gone as soon as it has read what it was told.
    leaving: bool,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            unread: VecDeque::new(),
            wants: None,
            gone: false,
            leaving: false,
        }
    }

    pub(super) fn sends_input(&self) -> bool {
        self.wants.is_some_and(|wants| wants & SENDS_INPUT != 0) && !self.gone
    }

    pub(super) fn sees_output(&self) -> bool {
        self.wants.is_some_and(|wants| wants & WANTS_OUTPUT != 0)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone || (self.leaving && self.unread.is_empty())
    }

    pub(super) fn is_full(&self) -> bool {
        self.unread.len() > UNREAD_BYTES_MAX
    }

    /// Whether it has been told everything.
    pub(super) fn is_served(&self) -> bool {
        self.gone || self.unread.is_empty()
    }

    pub(super) fn leave(&mut self) {
        self.gone = true;
    }

    /// What is worth waking up for; with `room` its input can be taken.
    pub(super) fn file(&self, room: bool) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        if room || !self.sends_input() {
            flags |= PollFlags::IN;
        }
        if !self.unread.is_empty() {
            flags |= PollFlags::OUT;
        }
        PollFd::from_borrowed_fd(self.stream.as_fd(), flags)
    }

    /// What it wants; `taken` if somebody sends input already, `room` is how much of
    /// it can be taken.
    pub(super) fn hear(&mut self, taken: bool, room: usize) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if self.gone || (self.sends_input() && room == 0) {
            return wishes;
        }
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.gone = true,
            Ok(length) => self.decoder.push(bytes.get(..length).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.gone = true,
        }
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => wishes.extend(self.heed(frame.kind, frame.payload, taken)),
                Ok(None) => return wishes,
                Err(_stranger) => {
                    self.gone = true;
                    return wishes;
                }
            }
        }
    }

    fn heed(&mut self, kind: Kind, payload: Vec<u8>, taken: bool) -> Option<Wish> {
        match (kind, self.wants) {
            (Kind::Hello, None) => self.greet(payload.first().copied().unwrap_or(0), taken),
            (Kind::Stdin, Some(wants)) if wants & SENDS_INPUT != 0 => Some(Wish::Input(payload)),
            (Kind::Resize, Some(wants)) if wants & SENDS_INPUT != 0 => {
                read_size(&payload).map(|(rows, columns)| Wish::Resize(rows, columns))
            }
            _ => None,
        }
    }

    fn greet(&mut self, wants: u8, taken: bool) -> Option<Wish> {
        if taken && wants & SENDS_INPUT != 0 {
            self.say(Kind::Refused, b"somebody else sends input to this container already");
            self.leaving = true;
            return None;
        }
        self.wants = Some(wants);
        self.say(Kind::Welcome, b"");
        self.sees_output().then_some(Wish::Seen)
    }

    pub(super) fn say(&mut self, kind: Kind, payload: &[u8]) {
        if !self.gone {
            encode(kind, payload, &mut self.unread);
        }
    }

    pub(super) fn speak(&mut self) {
        while !self.gone && !self.unread.is_empty() {
            let (front, _) = self.unread.as_slices();
            match self.stream.write(front) {
                Ok(written) => drop(self.unread.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
    }
}
