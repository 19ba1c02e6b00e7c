//! What goes to stdout and stderr, and how.
//!
//! stdout carries the answer and nothing else: JSON with `--json`, otherwise
//! text. Everything about the way there goes to stderr.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::failure::{Failure, Kind};

/// The answer of a command, in both forms.
#[derive(Debug)]
pub struct Answer {
    pub document: Value,
    pub text: String,
    /// Of a command that ran elsewhere.
    pub exit: u8,
}

impl Answer {
    pub fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), exit: 0 }
    }

    /// For commands that end as another one did.
    pub fn exited(exit: u8) -> Self {
        Self { exit, ..Self::written() }
    }

    /// For commands that have written their answer as it came.
    pub fn written() -> Self {
        Self::new(Value::Null, "")
    }
}

pub type Outcome = Result<Answer, Failure>;

#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn answer(self, answer: &Answer) -> ExitCode {
        let text = match (&answer.document, self.json) {
            (Value::Null, true) => return ExitCode::from(answer.exit),
            (document, true) => format!("{document:#}\n"),
            (_, false) => answer.text.clone(),
        };
        match write(text.as_bytes()) {
            Ok(()) => ExitCode::from(answer.exit),
            Err(failure) => {
                self.failure(&failure.to_string());
                failure.exit_code()
            }
        }
    }

    pub fn failure(self, message: &str) {
        tell(&format!("error: {message}"));
    }
}

/// Writes a part of the answer. A reader that has gone away (`| head`) is no
/// error, but ends the command.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Kind::Failed, format!("cannot write to stdout: {error}"))),
    }
}

/// Like [`write`], and tells whether anybody still reads.
pub fn write_on(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Kind::Failed, format!("cannot write to stdout: {error}"))),
    }
}

/// One line to stderr.
pub fn tell(line: &str) {
    // Nowhere is left to report a stderr that is gone.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// One line of progress, for people only.
pub fn progress(line: &str) {
    if io::stderr().is_terminal() {
        tell(line);
    }
}
