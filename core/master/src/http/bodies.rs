//! Request bodies: unpacked, and within the limit also then.

use std::io::Read as _;

use axum::body::Bytes;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use flate2::read::MultiGzDecoder;
use karman_rt::http::BODY_BYTES_MAX;

use super::answer;

/// The body as its sender had it before compression, or the answer to give.
pub(super) async fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Box<Response>> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    match encoding.as_bytes() {
        b"" | b"identity" => Ok(body),
        b"gzip" | b"x-gzip" => {
            let unpacked = tokio::task::spawn_blocking(move || gunzip(&body)).await;
            unpacked.unwrap_or(Err(Problem::Broken)).map_err(|problem| Box::new(refused(problem)))
        }
        _ => Err(Box::new(answer::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Content-Encoding' of gzip or identity",
        ))),
    }
}

enum Problem {
    Broken,
    Large,
}

fn gunzip(packed: &[u8]) -> Result<Bytes, Problem> {
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(packed).take(BODY_BYTES_MAX as u64 + 1);
    reader.read_to_end(&mut unpacked).map_err(|_| Problem::Broken)?;
    if unpacked.len() > BODY_BYTES_MAX { Err(Problem::Large) } else { Ok(unpacked.into()) }
}

fn refused(problem: Problem) -> Response {
    match problem {
        Problem::Broken => {
            answer::text(StatusCode::BAD_REQUEST, "the body is not valid gzip, as it says it is")
        }
        Problem::Large => answer::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the unpacked body has more than {BODY_BYTES_MAX} bytes"),
        ),
    }
}
