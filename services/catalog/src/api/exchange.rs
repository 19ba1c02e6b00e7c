//! What goes around every call: the types of its bodies, and all mistakes of a
//! request at once.

use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Error, Item, Mistake};
use crate::media::{self, MediaType};

/// The names and versions of the bodies of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Without one, the call has no body.
    pub(super) request: Option<&'static str>,
    pub(super) responses: &'static [(&'static str, u8)],
}

/// Chooses the type of the answer.
pub(super) fn negotiate(call: Call, headers: &HeaderMap) -> Result<MediaType, Error> {
    accept(call, headers).map_err(|mistake| Error::Request { mistakes: vec![mistake] })
}

/// Chooses the type of the answer and reads the body.
pub(super) fn read<T: DeserializeOwned>(
    call: Call,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(MediaType, T), Error> {
    let media = accept(call, headers);
    let content = content_type(call, headers);
    match (media, content, parse(body)) {
        (Ok(media), Ok(()), Ok(body)) => Ok((media, body)),
        (media, content, body) => {
            let mistakes = [media.err(), content.err(), body.err()];
            Err(Error::Request { mistakes: mistakes.into_iter().flatten().collect() })
        }
    }
}

pub(super) fn answer(media: &MediaType, body: &impl Serialize) -> Response {
    let mut response = axum::Json(body).into_response();
    if let Ok(media) = HeaderValue::try_from(media.to_string()) {
        response.headers_mut().insert(CONTENT_TYPE, media);
    }
    response
}

fn accept(call: Call, headers: &HeaderMap) -> Result<MediaType, Mistake> {
    let text = header(headers, &ACCEPT, Item::Accept)?;
    let offered: Vec<MediaType> =
        call.responses.iter().map(|(name, version)| MediaType::dcos(name, *version)).collect();
    let wanted = media::parse_accept(&text)
        .map_err(|error| Mistake::Unreadable { item: Item::Accept, reason: error.to_string() })?;
    let chosen = media::choose(&wanted, &offered).cloned();
    chosen.ok_or_else(|| Mistake::Unsuitable {
        item: Item::Accept,
        specified: wanted.iter().map(|wanted| wanted.media.to_string()).collect(),
        available: offered.iter().map(ToString::to_string).collect(),
    })
}

fn content_type(call: Call, headers: &HeaderMap) -> Result<(), Mistake> {
    let Some(request) = call.request else { return Ok(()) };
    let text = header(headers, &CONTENT_TYPE, Item::ContentType)?;
    let expected = MediaType::dcos(request, 1);
    let specified = MediaType::parse(&text).map_err(|error| Mistake::Unreadable {
        item: Item::ContentType,
        reason: error.to_string(),
    })?;
    if expected.is_satisfied_by(&specified) {
        return Ok(());
    }
    let (specified, available) = (vec![specified.to_string()], vec![expected.to_string()]);
    Err(Mistake::Unsuitable { item: Item::ContentType, specified, available })
}

fn header(headers: &HeaderMap, name: &HeaderName, item: Item) -> Result<String, Mistake> {
    let values: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { Err(Mistake::Missing { item }) } else { Ok(values.join(",")) }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Mistake> {
    if body.trim_ascii().is_empty() {
        return Err(Mistake::Missing { item: Item::Body });
    }
    serde_json::from_slice(body)
        .map_err(|error| Mistake::Unreadable { item: Item::Body, reason: error.to_string() })
}
