//! `POST /api/v1`: the calls of operators, in both codecs and as records.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use karman_api::codec::Codec;
use karman_api::mesos::v1::agent;
use karman_api::mesos::v1::agent::Call;
use karman_api::mesos::v1::agent::call::Type;
use karman_rt::http::BODY_BYTES_MAX;

use super::codec::{codec_of_answer, codec_of_body, refuse};
use super::{Shared, access, attach, nested, operator};

pub(super) async fn call(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    if is_records(headers) {
        return match access::check(&shared, &parts.extensions).await {
            Ok(()) => attach::input(&shared, headers, body).await,
            Err(response) => *response,
        };
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let message = format!("the body has more than {BODY_BYTES_MAX} bytes, or broke off");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &message);
    };
    let call = codec_of_body(headers).and_then(|codec| {
        let call: Result<Call, _> = codec.decode(&body);
        call.map_err(|error| Box::new(refuse(StatusCode::BAD_REQUEST, &error.to_string())))
    });
    let answered = match call {
        Ok(call) if commands(call.r#type()) => {
            match access::check(&shared, &parts.extensions).await {
                Ok(()) => command(&shared, headers, call).await,
                Err(response) => Err(response),
            }
        }
        Ok(call) => look(&shared, headers, call).await,
        Err(response) => Err(response),
    };
    answered.unwrap_or_else(|response| *response)
}

fn is_records(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content.and_then(|content| content.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(attach::RECORDS)
}

/// Whether the call does something, or shows what containers write.
#[expect(deprecated, reason = "clients use the old calls still")]
fn commands(kind: Type) -> bool {
    matches!(
        kind,
        Type::LaunchContainer
            | Type::LaunchNestedContainer
            | Type::LaunchNestedContainerSession
            | Type::AttachContainerInput
            | Type::AttachContainerOutput
            | Type::WaitContainer
            | Type::WaitNestedContainer
            | Type::KillContainer
            | Type::KillNestedContainer
            | Type::RemoveContainer
            | Type::RemoveNestedContainer
    )
}

#[expect(deprecated, reason = "clients use the old calls still")]
async fn command(
    shared: &Shared,
    headers: &HeaderMap,
    call: Call,
) -> Result<Response, Box<Response>> {
    match call.r#type() {
        Type::LaunchContainer | Type::LaunchNestedContainer => nested::launch(shared, call).await,
        Type::LaunchNestedContainerSession => nested::session(shared, headers, call).await,
        Type::AttachContainerOutput => nested::attach_output(shared, headers, call).await,
        Type::KillContainer | Type::KillNestedContainer => nested::kill(shared, call).await,
        Type::RemoveContainer | Type::RemoveNestedContainer => nested::remove(shared, call).await,
        Type::WaitContainer | Type::WaitNestedContainer => {
            let codec = answer_codec(headers)?;
            Ok(encode(codec, &nested::wait(shared, call).await?))
        }
        _ => {
            let message = format!("Expecting 'Content-Type' of {} for input", attach::RECORDS);
            Err(Box::new(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message)))
        }
    }
}

async fn look(shared: &Shared, headers: &HeaderMap, call: Call) -> Result<Response, Box<Response>> {
    let codec = answer_codec(headers)?;
    match operator::answer(shared, call).await {
        Ok(Some(response)) => Ok(encode(codec, &response)),
        Ok(None) => {
            let message = "This agent does not support the call";
            Err(Box::new(refuse(StatusCode::NOT_IMPLEMENTED, message)))
        }
        Err(error) => Err(Box::new(error.into_response())),
    }
}

fn answer_codec(headers: &HeaderMap) -> Result<Codec, Box<Response>> {
    let all: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    codec_of_answer((!all.is_empty()).then(|| all.join(",")).as_deref())
}

fn encode(codec: Codec, response: &agent::Response) -> Response {
    ([(CONTENT_TYPE, codec.media_type())], codec.encode(response)).into_response()
}
