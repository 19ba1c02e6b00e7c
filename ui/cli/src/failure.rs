//! Why a command did not succeed, what the user can do about it, and the exit
//! code that tells scripts.

use std::fmt;
use std::process::ExitCode;

/// The classes of failure that a script may want to tell apart. The numbers
/// are documented in `karman --help` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server refused, or the operation ended badly.
    Failed = 1,
    /// The command or its input is wrong; nothing was sent.
    Usage = 2,
    /// What the command is about does not exist.
    NotFound = 3,
    /// The cluster, or the part of it that is needed, cannot be reached.
    Unreachable = 4,
    /// A login is needed, or the user may not do this.
    Denied = 5,
    /// It did not happen within the time allowed.
    TimedOut = 6,
}

/// A failure as it is shown: one line, and one more for each detail.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    pub remedy: Option<String>,
    pub details: Vec<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: None, details: Vec::new() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds a remedy where the failure is of this kind and has none yet.
    pub fn remedy_for(mut self, kind: Kind, remedy: &str) -> Self {
        if self.kind == kind && self.remedy.is_none() {
            self.remedy = Some(remedy.to_owned());
        }
        self
    }

    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        f.write_str(one_line(&self.message).trim_end_matches('.'))?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        for detail in &self.details {
            write!(f, "\n  {}", one_line(detail))?;
        }
        Ok(())
    }
}

/// Adds a remedy to the failures of one kind.
pub trait Remedy {
    #[must_use]
    fn remedy_for(self, kind: Kind, remedy: &str) -> Self;
}

impl<T> Remedy for Result<T, Failure> {
    fn remedy_for(self, kind: Kind, remedy: &str) -> Self {
        self.map_err(|failure| failure.remedy_for(kind, remedy))
    }
}
