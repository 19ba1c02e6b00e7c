//! Why a request to etcd failed, and whether it may have happened all the same.

use tonic::{Code, Status};

use super::machines::call::Outcome;
use crate::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    LeaseGone,
    /// The revision that was asked for is no longer known.
    Compacted,
    /// The cluster has not come that far.
    Future,
    TooLarge(String),
    /// It never happens, for another reason.
    Refused(String),
    /// The answer was larger than what may be received.
    AnswerTooLarge,
    /// No answer; the member may be at fault.
    Unknown(String),
}

impl Failure {
    pub(super) fn of(status: &Status) -> Self {
        let text = status.message();
        match status.code() {
            Code::NotFound if text.contains("lease") => Self::LeaseGone,
            Code::OutOfRange if text.contains("compacted") => Self::Compacted,
            Code::OutOfRange if text.contains("future revision") => Self::Future,
            Code::OutOfRange => Self::AnswerTooLarge,
            Code::InvalidArgument | Code::ResourceExhausted
                if text.contains("too large") || text.contains("larger than max") =>
            {
                Self::TooLarge(format!("{text}; raise max-request-bytes of etcd"))
            }
            Code::InvalidArgument if text.contains("too many operations") => {
                Self::TooLarge(format!("{text}; raise max-txn-ops of etcd"))
            }
            Code::ResourceExhausted if text.contains("space exceeded") => Self::Refused(format!(
                "{text}; compact and defragment etcd, or raise its quota-backend-bytes, then disarm its alarm"
            )),
            Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::NotFound
            | Code::Unimplemented => Self::Refused(text.to_owned()),
            _ => Self::Unknown(chain(status)),
        }
    }

    pub(super) fn reason(self) -> String {
        match self {
            Self::LeaseGone => "the lease ended".into(),
            Self::Compacted => "etcd compacts faster than it is read".into(),
            Self::Future => "etcd was set back while it was read".into(),
            Self::AnswerTooLarge => "an answer of etcd is too large to be received".into(),
            Self::TooLarge(reason) | Self::Refused(reason) | Self::Unknown(reason) => reason,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::LeaseGone => Self::LeaseGone,
            Failure::TooLarge(reason) => Self::TooLarge { reason },
            Failure::Refused(reason) => Self::Refused { reason },
            other @ (Failure::Compacted
            | Failure::Future
            | Failure::AnswerTooLarge
            | Failure::Unknown(_)) => Self::Unknown { reason: other.reason() },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Unavailable { reason: failure.reason() }
    }
}

/// What a status says, with its causes: "transport error" alone helps nobody.
fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
