//! Why a registry did not give what it was asked for.

use std::time::Duration;

use super::Endpoint;
use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{registry}' cannot be asked: no URL can be made of it")]
    Nowhere { registry: String },
    #[error("cannot reach {endpoint}")]
    Connect {
        endpoint: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the connection to {endpoint} broke")]
    Broken {
        endpoint: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{endpoint} did not answer within {} s", limit.as_secs())]
    Late { endpoint: String, limit: Duration },
    #[error("{endpoint} has no such image")]
    NotFound { endpoint: String },
    #[error(
        "{endpoint} wants to know who asks; give a pullConfig secret or a docker config with \
         credentials for it"
    )]
    Unauthorized { endpoint: String },
    #[error(
        "{endpoint} refuses: the credentials given for it are not enough (or it has no such image)"
    )]
    Forbidden { endpoint: String },
    #[error("{endpoint} allows no more requests for now")]
    TooMany { endpoint: String },
    #[error("{endpoint} answered {status}{}", detail.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused { endpoint: String, status: u16, detail: Option<String> },
    #[error("{endpoint} sends a document that is larger than {} KiB", bytes_max >> 10)]
    TooLarge { endpoint: String, bytes_max: u64 },
    #[error("{endpoint} sends credentials to {realm}, which has no TLS")]
    Realm { endpoint: String, realm: String },
    #[error("the token server {realm} gave no token")]
    NoToken { realm: String },
    #[error("the content is {found}, not {wanted}")]
    Digest { wanted: Digest, found: Digest },
    #[error("the content has {found} bytes, not {wanted}")]
    Size { wanted: u64, found: u64 },
    #[error("cannot keep what was fetched")]
    Write(#[source] std::io::Error),
}

impl Error {
    /// The more telling one. That plain HTTP did not work either is no news.
    pub(super) fn or(self, later: Self, endpoint: &Endpoint) -> Self {
        let silent = matches!(later, Self::Connect { .. } | Self::Broken { .. });
        let nothing_yet = matches!(self, Self::Nowhere { .. });
        if endpoint.is_fallback() && silent && !nothing_yet { self } else { later }
    }

    /// Whether the same request may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Late { .. } | Self::TooMany { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Nowhere { .. }
            | Self::Connect { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::TooLarge { .. }
            | Self::Realm { .. }
            | Self::NoToken { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Write(_) => false,
        }
    }
}
