//! A terminal of the container's own, whose other side is sent out of it.

use std::io;
use std::os::fd::AsFd as _;

use nix::unistd::{Gid, Uid, fchown};
use rustix::fs::{Mode, OFlags};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{Winsize, tcsetwinsize};

use super::report::Reporter;
use crate::passwd::Identified;
use crate::spec::Size;

const TTY_GROUP: u32 = 5;

/// Becomes the input and output of this process, which leads a session.
pub(super) fn open(size: Size, user: Option<&Identified>, reporter: &Reporter) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    unlockpt(&ours)?;
    tcsetwinsize(&ours, winsize(size))?;
    // By descriptor: a name could be anything in an image.
    let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    if let Some(user) = user {
        fchown(&theirs, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(TTY_GROUP)))?;
    }
    ioctl_tiocsctty(&theirs)?;
    dup2_stdin(&theirs)?;
    dup2_stdout(&theirs)?;
    dup2_stderr(&theirs)?;
    reporter.send_terminal(ours.as_fd())
}

fn winsize(Size { rows, columns }: Size) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
