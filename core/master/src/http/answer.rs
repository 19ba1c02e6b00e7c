//! Responses of a few kinds, and the codec of a request.

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, ALLOW, AsHeaderName, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use karman_api::codec::Codec;
use serde_json::Value;

use crate::elsewhere::Elsewhere;

pub(super) fn text(status: StatusCode, message: impl Into<String>) -> Response {
    body(status, "text/plain; charset=utf-8", message.into().into())
}

pub(super) fn json(value: &Value) -> Response {
    body(StatusCode::OK, "application/json", value.to_string().into())
}

pub(super) fn body(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn not_allowed(allowed: &'static str) -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("Expecting '{allowed}'"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The core has ended: the process is about to.
pub(super) fn stopping() -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, "the master is stopping")
}

/// Another master leads, or none does yet.
/// Sends to the leader, with everything that was asked; it is named without a
/// scheme, since it speaks both.
pub(super) fn not_leading(elsewhere: &Elsewhere, uri: &Uri) -> Response {
    let leader = elsewhere.urls();
    let authority = leader.as_ref().and_then(|urls| urls.http.split_once("://"));
    if let Some((_scheme, authority)) = authority {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if let Ok(location) = HeaderValue::from_str(&format!("//{authority}{path}")) {
            let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
            response.headers_mut().insert(LOCATION, location);
            return response;
        }
    }
    let message = "this master does not lead, and does not know which one does; try again";
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
    response
}

fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The codec of the body, or the answer to give instead.
pub(super) fn codec_of_body(headers: &HeaderMap) -> Result<Codec, Box<Response>> {
    let Some(content_type) = header(headers, CONTENT_TYPE) else {
        return Err(Box::new(text(
            StatusCode::BAD_REQUEST,
            "Expecting 'Content-Type' to be present",
        )));
    };
    Codec::from_content_type(content_type).ok_or_else(|| {
        let message = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        Box::new(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
    })
}

/// The codec that the client reads, or the answer to give instead.
pub(super) fn codec_of_answer(headers: &HeaderMap) -> Result<Codec, Box<Response>> {
    Codec::from_accept(header(headers, ACCEPT)).ok_or_else(|| {
        let message = "Expecting 'Accept' to allow application/json or application/x-protobuf";
        Box::new(text(StatusCode::NOT_ACCEPTABLE, message))
    })
}

pub(super) fn stream_id(headers: &HeaderMap) -> Option<&str> {
    header(headers, "Mesos-Stream-Id")
}
