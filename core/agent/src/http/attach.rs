//! Input and output of containers, as records of `ProcessIO` in both directions.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};
use karman_api::codec::Codec;
use karman_api::mesos::v1::agent::call::attach_container_input;
use karman_api::mesos::v1::agent::call::{AttachContainerInput, Type};
use karman_api::mesos::v1::agent::process_io::{self, control, data};
use karman_api::mesos::v1::agent::{Call, ProcessIo};
use karman_api::recordio;

use super::Shared;
use super::codec::refuse;
use super::nested::unknown;
use crate::attach::client::{self, Reader, Writer};
use crate::attach::frame::{Kind, SENDS_INPUT, WANTS_OUTPUT, size};
use crate::nested;
use crate::shim::records::RunDir;

pub(super) const RECORDS: &str = "application/recordio";
const MESSAGE_TYPE: &str = "message-content-type";
const MESSAGE_ACCEPT: &str = "message-accept";

/// The longest record of input.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Whether the caller reads records.
pub(super) fn accepts_records(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range.eq_ignore_ascii_case(RECORDS) || range == "*/*"
    })
}

/// In which codec he reads what is in them.
pub(super) fn codec_of_records(headers: &HeaderMap) -> Result<Codec, Box<Response>> {
    let accept = headers.get(MESSAGE_ACCEPT).and_then(|value| value.to_str().ok());
    Codec::from_accept(accept).ok_or_else(|| {
        let message =
            "Expecting 'Message-Accept' to allow application/json or application/x-protobuf";
        Box::new(refuse(StatusCode::NOT_ACCEPTABLE, message))
    })
}

pub(super) fn failed(error: &client::Error) -> Response {
    let status = match error {
        client::Error::Refused(_) => StatusCode::CONFLICT,
        client::Error::NoConsole(_) | client::Error::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &error.to_string())
}

/// Everything that it writes from now on; from its beginning if it is a session.
pub(super) async fn output(run: &RunDir, codec: Codec) -> Response {
    match client::connect(run, WANTS_OUTPUT).await {
        Ok((reader, writer)) => {
            let mut response = Response::new(Body::from_stream(records(reader, writer, codec)));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(RECORDS));
            let codec = HeaderValue::from_static(codec.media_type());
            headers.insert(HeaderName::from_static(MESSAGE_TYPE), codec);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => failed(&error),
    }
}

/// The writer says nothing more, and is the connection all the same.
fn records(
    reader: Reader,
    writer: Writer,
    codec: Codec,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold((reader, writer), move |(mut reader, writer)| async move {
        loop {
            let frame = reader.hear().await.ok()??;
            let kind = match frame.kind {
                Kind::Stdout => data::Type::Stdout,
                Kind::Stderr => data::Type::Stderr,
                Kind::Ended => return None,
                Kind::Hello | Kind::Stdin | Kind::Resize | Kind::Refused | Kind::Welcome => {
                    continue;
                }
            };
            let message = ProcessIo {
                r#type: Some(process_io::Type::Data.into()),
                data: Some(process_io::Data {
                    r#type: Some(kind.into()),
                    data: Some(frame.payload.into()),
                }),
                control: None,
            };
            let record = recordio::encode(&codec.encode(&message));
            return Some((Ok(record), (reader, writer)));
        }
    })
}

/// Why input is not taken any further.
enum Stopped {
    Answer(Box<Response>),
    /// The process is gone.
    Over,
}

/// Reads records until there are no more, or nobody reads them.
pub(super) async fn input(shared: &Shared, headers: &HeaderMap, body: Body) -> Response {
    let content = headers.get(MESSAGE_TYPE).and_then(|value| value.to_str().ok());
    let Some(codec) = content.and_then(Codec::from_content_type) else {
        let message =
            "Expecting 'Message-Content-Type' of application/json or application/x-protobuf";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    };
    let mut records = Records {
        body: body.into_data_stream().boxed(),
        decoder: recordio::Decoder::new(RECORD_BYTES_MAX),
        codec,
    };
    match pass_on(shared, &mut records).await {
        Ok(()) | Err(Stopped::Over) => StatusCode::OK.into_response(),
        Err(Stopped::Answer(response)) => *response,
    }
}

async fn pass_on(shared: &Shared, records: &mut Records) -> Result<(), Stopped> {
    let bad = |message: &str| Stopped::Answer(Box::new(refuse(StatusCode::BAD_REQUEST, message)));
    let first = records.next().await?.and_then(|input| input.container_id);
    let id = first.ok_or_else(|| bad("Expecting 'attach_container_input.container_id' first"))?;
    let path = nested::path(&id).map_err(|error| bad(&error.to_string()))?;
    let run = shared.place(&path).ok_or_else(|| Stopped::Answer(Box::new(unknown(&path))))?;
    let connected = client::connect(&run, SENDS_INPUT).await;
    let (mut reader, mut writer) =
        connected.map_err(|error| Stopped::Answer(Box::new(failed(&error))))?;
    loop {
        let input = tokio::select! {
            input = records.next() => input?,
            // It says nothing to those who see no output, but that it is gone.
            _ = reader.hear() => return Err(Stopped::Over),
        };
        let Some(input) = input else { return Ok(()) };
        if let Some(io) = input.process_io {
            say(&mut writer, io).await?;
        }
    }
}

async fn say(writer: &mut Writer, io: ProcessIo) -> Result<(), Stopped> {
    let said = match (io.r#type(), io.data, io.control) {
        (process_io::Type::Data, Some(data), _) if data.r#type() == data::Type::Stdin => {
            writer.say(Kind::Stdin, &data.data.unwrap_or_default()).await
        }
        (process_io::Type::Control, _, Some(control))
            if control.r#type() == control::Type::TtyInfo =>
        {
            let window = control.tty_info.and_then(|tty| tty.window_size);
            let number = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
            match window {
                Some(window) => {
                    let size = size(number(window.rows), number(window.columns));
                    writer.say(Kind::Resize, &size).await
                }
                None => Ok(()),
            }
        }
        // Heartbeats, and what is from later times.
        _ => Ok(()),
    };
    said.map_err(|_gone| Stopped::Over)
}

/// The calls in a body that goes on.
struct Records {
    body: futures::stream::BoxStream<'static, Result<Bytes, axum::Error>>,
    decoder: recordio::Decoder,
    codec: Codec,
}

impl Records {
    /// The next call, which must be one of input; none at the end of the body.
    async fn next(&mut self) -> Result<Option<AttachContainerInput>, Stopped> {
        let bad =
            |message: String| Stopped::Answer(Box::new(refuse(StatusCode::BAD_REQUEST, &message)));
        loop {
            let record = self.decoder.next_record().map_err(|error| bad(error.to_string()))?;
            if let Some(record) = record {
                let call: Call =
                    self.codec.decode(&record).map_err(|error| bad(error.to_string()))?;
                if call.r#type() != Type::AttachContainerInput {
                    return Err(bad("Expecting records of type ATTACH_CONTAINER_INPUT".into()));
                }
                let input = call.attach_container_input.unwrap_or_default();
                if input.r#type() == attach_container_input::Type::Unknown {
                    return Err(
                        bad("Expecting 'attach_container_input.type' to be present".into()),
                    );
                }
                return Ok(Some(input));
            }
            match self.body.next().await {
                Some(Ok(chunk)) => self.decoder.push(&chunk),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}
