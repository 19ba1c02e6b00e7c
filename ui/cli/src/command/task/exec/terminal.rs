//! This terminal.

use std::io::{self, IsTerminal as _};

use karman_api::mesos::v1::tty_info::WindowSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::failure::Failure;

/// Passes on every key as it is; gives the terminal its old settings back,
/// whatever happens.
#[derive(Debug)]
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    pub(super) fn begin() -> Result<Self, Failure> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage("a terminal is wanted, and there is none to give")
                .remedy("leave out --tty where input does not come from a terminal"));
        }
        let unusable =
            |error: rustix::io::Errno| Failure::usage(format!("cannot use this terminal: {error}"));
        let before = tcgetattr(&stdin).map_err(unusable)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Drain, &raw).map_err(unusable)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _gone = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// None where there is no terminal.
pub(super) fn size() -> Option<WindowSize> {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then(|| WindowSize { rows: size.ws_row.into(), columns: size.ws_col.into() })
}
