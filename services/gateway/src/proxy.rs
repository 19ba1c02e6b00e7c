//! The reverse proxy: one request to one upstream. Bodies flow both ways as
//! they come, so event streams and record streams pass without delay. Only
//! connecting has a deadline: an answer may take as long as it takes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use http_body_util::{LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use karman_api::credentials::Credentials;
use karman_rt::chain;
use karman_rt::http::{Connector, Reach, Secured};
use tracing::warn;

use crate::answer;
use crate::identity::AUTH_COOKIES;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest body passed on, as in DC/OS; roles have their own, lower limits.
const BODY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Headers that belong to one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The word for it in messages.
    pub name: String,
    /// Scheme and authority, without a slash at the end.
    pub base: String,
    /// The path that the upstream sees.
    pub path: String,
    /// What was cut off the path and is put back before a `Location`.
    pub prefix: String,
    /// Whether the upstream may see the caller's token.
    pub token: bool,
    /// What the upstream sees of callers that show it nothing of their own.
    pub credentials: Option<Credentials>,
}

/// Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    client: Client<Connector, Body>,
}

impl Proxy {
    pub(crate) fn new(reach: Reach) -> Self {
        Self { client: karman_rt::http::client(reach, CONNECT_TIMEOUT, IDLE_TIMEOUT) }
    }

    /// Passes `request` on and its answer back.
    pub(crate) async fn forward(
        &self,
        request: Request,
        to: &Destination,
        peer: Option<SocketAddr>,
    ) -> Response {
        let page = answer::is_page(request.headers());
        let host = request.headers().get(header::HOST).cloned();
        if declared_length(request.headers()).is_some_and(|length| length > BODY_BYTES_MAX) {
            let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "ERR_BODY_SIZE", &message, page);
        }
        let Some(outgoing) = outgoing(request, to, peer) else {
            return answer::error(
                StatusCode::BAD_REQUEST,
                "ERR_PATH",
                "this path cannot be passed on",
                page,
            );
        };
        match self.client.request(outgoing).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                strip(response.headers_mut());
                relocate(response.headers_mut(), to, host.as_ref());
                response
            }
            Err(error) if is_over_limit(&error) => {
                let message = "the body is too large";
                answer::error(StatusCode::PAYLOAD_TOO_LARGE, "ERR_BODY_SIZE", message, page)
            }
            Err(error) => {
                warn!(upstream = to.base, error = chain(&error), "upstream did not answer");
                failed(&error, to, page)
            }
        }
    }
}

fn failed(error: &hyper_util::client::legacy::Error, to: &Destination, page: bool) -> Response {
    let Destination { name, base, .. } = to;
    if error.is_connect() {
        let message = format!("{name} is not reachable at {base}; it is down or starting");
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "ERR_UPSTREAM_DOWN", &message, page);
    }
    let message = format!("{name} at {base} broke off before it answered");
    answer::error(StatusCode::BAD_GATEWAY, "ERR_UPSTREAM_BROKE_OFF", &message, page)
}

/// Whether the caller's body, which hid its length, went over a limit on its way.
fn is_over_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.is::<LengthLimitError>())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The request as the upstream gets it; `None` if its path is not a URI.
fn outgoing(
    request: Request,
    to: &Destination,
    peer: Option<SocketAddr>,
) -> Option<http::Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let path = match parts.uri.query() {
        Some(query) => format!("{}?{query}", to.path),
        None => to.path.clone(),
    };
    let base: Uri = to.base.parse().ok()?;
    let mut uri = base.into_parts();
    uri.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    parts.uri = Uri::from_parts(uri).ok()?;
    // HTTP/2 names the host in its URI only.
    parts.version = Version::HTTP_11;
    strip(&mut parts.headers);
    hide_token(&mut parts.headers, to.token);
    if let Some(credentials) = &to.credentials {
        sign(&mut parts.headers, credentials);
    }
    let secured = parts.extensions.get::<Secured>().is_some();
    forwarded(&mut parts.headers, peer, secured);
    let limit = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let body = if http_body::Body::is_end_stream(&body) {
        Body::empty()
    } else {
        Body::new(Limited::new(body, limit))
    };
    Some(http::Request::from_parts(parts, body))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
    for name in named {
        headers.remove(name);
    }
}

/// Takes the sign-in cookies out, and the token unless the upstream may see it.
fn hide_token(headers: &mut HeaderMap, token: bool) {
    let cookies: Vec<String> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|cookie| !AUTH_COOKIES.contains(&cookie.split('=').next().unwrap_or_default()))
        .map(str::to_owned)
        .collect();
    headers.remove(header::COOKIE);
    if let Ok(value) = HeaderValue::from_str(&cookies.join("; "))
        && !cookies.is_empty()
    {
        headers.insert(header::COOKIE, value);
    }
    if !token && crate::identity::carries_token(headers) {
        headers.remove(header::AUTHORIZATION);
    }
}

/// A token is for the gateway: the upstream knows none.
fn sign(headers: &mut HeaderMap, credentials: &Credentials) {
    let is_token = crate::identity::carries_token(headers);
    if headers.contains_key(header::AUTHORIZATION) && !is_token {
        return;
    }
    if let Ok(mut value) = HeaderValue::from_str(&credentials.basic()) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

fn forwarded(headers: &mut HeaderMap, peer: Option<SocketAddr>, secured: bool) {
    let mut insert = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    let scheme = if secured { "https" } else { "http" };
    insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    if let Some(peer) = peer
        && let Ok(ip) = HeaderValue::from_str(&peer.ip().to_string())
    {
        insert("x-real-ip", ip.clone());
        // A client's own claim is not passed on: nothing stands before us.
        insert("x-forwarded-for", ip);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
}

/// Turns a `Location` of the upstream into one that works through the gateway.
fn relocate(headers: &mut HeaderMap, to: &Destination, host: Option<&HeaderValue>) {
    let Some(location) = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let host = host.and_then(|host| host.to_str().ok());
    if let Some(location) = relocated(location, to, host)
        && let Ok(location) = HeaderValue::from_str(&location)
    {
        headers.insert(header::LOCATION, location);
    }
}

fn relocated(location: &str, to: &Destination, host: Option<&str>) -> Option<String> {
    let path = if location.starts_with('/') && !location.starts_with("//") {
        location
    } else {
        let uri: Uri = location.parse().ok()?;
        let authority = uri.authority().map(Authority::as_str)?;
        let target = to.base.split_once("://").map(|(_, authority)| authority);
        let ours = target == Some(authority) || host == Some(authority);
        let after = location.split_once(authority).map(|(_, after)| after)?;
        if !ours {
            return None;
        }
        if after.is_empty() { "/" } else { after }
    };
    let known =
        path.strip_prefix(&to.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let prefix = if known { "" } else { to.prefix.as_str() };
    Some(format!("{prefix}{path}"))
}

#[cfg(test)]
mod tests;
