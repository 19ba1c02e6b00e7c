//! Questions to the person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// Asks for a line of text.
pub fn ask(question: &str) -> Result<String, Failure> {
    let mut terminal = open()?;
    read(&mut terminal, question).map_err(|error| unreadable(&error))
}

/// Asks for a line that is not shown while it is typed.
pub fn ask_secret(question: &str) -> Result<String, Failure> {
    let mut terminal = open()?;
    let before = tcgetattr(&terminal).map_err(|error| unreadable(&error.into()))?;
    let hidden = Hidden::new(terminal.try_clone().map_err(|error| unreadable(&error))?, before)
        .map_err(|error| unreadable(&error))?;
    let answer = read(&mut terminal, question);
    drop(hidden);
    drop(writeln!(terminal));
    answer.map_err(|error| unreadable(&error))
}

fn open() -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::usage(
            "user name and password are needed, and there is no terminal to ask for them",
        )
        .remedy("pass --username and --password-file, or set DCOS_USERNAME and DCOS_PASSWORD")
    })
}

fn read(terminal: &mut File, question: &str) -> io::Result<String> {
    write!(terminal, "{question}: ")?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read from the terminal: {error}"))
}

/// Gives the terminal its old settings back, whatever happens.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn new(terminal: File, before: Termios) -> io::Result<Self> {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
