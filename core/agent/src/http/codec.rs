//! How a request picks its encodings.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use karman_api::codec::Codec;

pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}

/// The codec of the body, or the answer to give instead.
pub(super) fn codec_of_body(headers: &HeaderMap) -> Result<Codec, Box<Response>> {
    let Some(content) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        let message = "Expecting 'Content-Type' to be present";
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, message)));
    };
    Codec::from_content_type(content).ok_or_else(|| {
        let message = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        Box::new(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
    })
}

/// The codec that the client reads, or the answer to give instead.
pub(super) fn codec_of_answer(accept: Option<&str>) -> Result<Codec, Box<Response>> {
    Codec::from_accept(accept).ok_or_else(|| {
        let message = "Expecting 'Accept' to allow application/json or application/x-protobuf";
        Box::new(refuse(StatusCode::NOT_ACCEPTABLE, message))
    })
}
