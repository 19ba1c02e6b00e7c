//! What a process that is being made tells the one that makes it: nothing, if
//! all went well, then the line is closed by its execution; else one sentence.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};

/// The longest sentence.
const REASON_BYTES_MAX: u64 = 4096;

const READY: u8 = 1;
const TERMINAL: u8 = 2;
const NUMBER: u8 = 3;
const REASON: u8 = 4;

/// The end of the process that is made.
#[derive(Debug)]
pub(super) struct Reporter(UnixStream);

/// The end of the one that makes it.
#[derive(Debug)]
pub(super) struct Listener(UnixStream);

pub(super) fn pair() -> io::Result<(Reporter, Listener)> {
    let (there, here) = UnixStream::pair()?;
    Ok((Reporter(there), Listener(here)))
}

impl Reporter {
    /// Why it cannot go on.
    pub(super) fn say(&self, reason: &str) {
        let mut bytes = vec![REASON];
        bytes.extend_from_slice(reason.as_bytes());
        // Nobody hears: the maker is gone, and this process ends anyway.
        let _gone = (&self.0).write_all(&bytes);
    }

    pub(super) fn say_ready(&self) {
        let _gone = (&self.0).write_all(&[READY]);
    }

    pub(super) fn say_number(&self, number: u32) {
        let [a, b, c, d] = number.to_be_bytes();
        let _gone = (&self.0).write_all(&[NUMBER, a, b, c, d]);
    }

    pub(super) fn send_terminal(&self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut messages = SendAncillaryBuffer::new(&mut space);
        let files = [terminal];
        messages.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&self.0, &[IoSlice::new(&[TERMINAL])], &mut messages, SendFlags::empty())?;
        Ok(())
    }

    /// Whether whoever listens has ended.
    pub(super) fn is_alone(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(self.0.as_fd(), &mut byte, flags), Ok((_, 0)))
    }
}

impl Listener {
    /// Until it is executed; the terminal that it opened.
    pub(super) fn listen(mut self) -> Result<Option<OwnedFd>, String> {
        let lost = |error: io::Error| format!("cannot hear the process: {error}");
        let mut terminal = None;
        loop {
            let mut kind = [0];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut messages = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received =
                recvmsg(&self.0, &mut [IoSliceMut::new(&mut kind)], &mut messages, flags)
                    .map_err(|error| lost(error.into()))?;
            if received.bytes == 0 {
                return Ok(terminal);
            }
            for message in messages.drain() {
                if let RecvAncillaryMessage::ScmRights(files) = message {
                    terminal = files.last();
                }
            }
            if kind == [REASON] {
                return Err(self.rest());
            }
        }
    }

    /// Until it is ready or has ended.
    pub(super) fn ready(mut self) -> Result<(), String> {
        match self.kind() {
            Some(READY) => Ok(()),
            Some(REASON) => Err(self.rest()),
            _ => Err("the first process of the container ended before it was ready".to_owned()),
        }
    }

    pub(super) fn number(mut self) -> Result<u32, String> {
        let mut bytes = [0; 4];
        match self.kind() {
            Some(NUMBER) if self.0.read_exact(&mut bytes).is_ok() => Ok(u32::from_be_bytes(bytes)),
            Some(REASON) => Err(self.rest()),
            _ => Err("the process ended before it was in the container".to_owned()),
        }
    }

    fn kind(&mut self) -> Option<u8> {
        let mut kind = [0];
        self.0.read_exact(&mut kind).ok().map(|()| kind[0])
    }

    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _cut = (&self.0).take(REASON_BYTES_MAX).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
