//! Who is calling: HTTP Basic, where it is asked for.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use karman_rt::tls::Peer;

use super::answer;
use super::endpoint::Endpoint;
use crate::access::Access;

/// Whoever has proved to be somebody; `None` where nobody asks.
pub(super) type Principal = Option<Arc<str>>;

/// A group of endpoints that ask for credentials together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Realm {
    ReadOnly,
    ReadWrite,
    Scheduler,
}

impl Realm {
    const fn challenge(self) -> &'static str {
        match self {
            Self::ReadOnly => r#"Basic realm="mesos-master-readonly""#,
            Self::ReadWrite => r#"Basic realm="mesos-master-readwrite""#,
            Self::Scheduler => r#"Basic realm="mesos-master-scheduler""#,
        }
    }

    const fn is_guarded(self, access: &Access) -> bool {
        match self {
            Self::ReadOnly => access.readonly,
            Self::ReadWrite => access.readwrite,
            Self::Scheduler => access.frameworks,
        }
    }
}

/// The principal, or the answer to give instead. Endpoints without a realm tell
/// nobody's secrets. Other machines of the cluster have shown what they are when
/// they connected: those of masters are trusted, those of agents may follow
/// names.
pub(super) fn check(
    access: &Access,
    endpoint: Endpoint,
    peer: Option<Peer>,
    headers: &HeaderMap,
) -> Result<Principal, Box<Response>> {
    match peer {
        Some(Peer::Master) => return Ok(None),
        Some(Peer::Agent) if endpoint == Endpoint::Discovery => return Ok(None),
        Some(Peer::Agent) | None => {}
    }
    let Some(realm) = endpoint.realm().filter(|realm| realm.is_guarded(access)) else {
        return Ok(None);
    };
    let shown = headers.get(AUTHORIZATION).and_then(|value| basic(value.to_str().ok()?));
    match shown {
        Some((principal, secret)) if access.credentials.are(&principal, &secret) => {
            Ok(Some(principal.into()))
        }
        Some(_) | None => {
            let message = "this endpoint needs the credentials of a principal (HTTP Basic)";
            let mut response = answer::text(StatusCode::UNAUTHORIZED, message);
            let challenge = HeaderValue::from_static(realm.challenge());
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            Err(Box::new(response))
        }
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (principal, secret) = text.split_once(':')?;
    Some((principal.to_owned(), secret.to_owned()))
}
