//! The scheduler API: calls in, an event stream out.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1::scheduler::{Call, call::Type};
use karman_model::id::FrameworkId;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, answer, events};
use crate::core::{EVENTS_QUEUE_MAX, Request};
use crate::ledger::{CallGate, StreamId};
use crate::validate;

/// The checks are in the order of Mesos; clients tell failures apart by it.
pub(super) async fn handle(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    let codec = match answer::codec_of_body(headers) {
        Ok(codec) => codec,
        Err(response) => return *response,
    };
    let call: Call = match codec.decode(body) {
        Ok(call) => call,
        Err(error) => return answer::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    if let Err(error) = validate::call::check(&call) {
        return answer::text(
            StatusCode::BAD_REQUEST,
            format!("Failed to validate scheduler::Call: {error}"),
        );
    }
    match call.r#type() {
        Type::Unknown => answer::text(StatusCode::NOT_IMPLEMENTED, "the call is not known"),
        Type::Subscribe => match answer::codec_of_answer(headers) {
            Err(response) => *response,
            Ok(_) if answer::stream_id(headers).is_some() => {
                let message = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
                answer::text(StatusCode::BAD_REQUEST, message)
            }
            Ok(codec) => subscribe(shared, codec, call).await,
        },
        Type::ReconcileOperations => match answer::codec_of_answer(headers) {
            Err(response) => *response,
            Ok(_) => other(shared, headers, call).await,
        },
        Type::UpdateFramework => update(shared, headers, call).await,
        Type::Teardown
        | Type::Accept
        | Type::Decline
        | Type::AcceptInverseOffers
        | Type::DeclineInverseOffers
        | Type::Revive
        | Type::Kill
        | Type::Shutdown
        | Type::Acknowledge
        | Type::AcknowledgeOperationStatus
        | Type::Reconcile
        | Type::Message
        | Type::Request
        | Type::Suppress => other(shared, headers, call).await,
    }
}

async fn subscribe(shared: &Shared, codec: Codec, call: Call) -> Response {
    let Some(subscribe) = call.subscribe else { return answer::empty(StatusCode::BAD_REQUEST) };
    let id = uuid::Uuid::new_v4().to_string();
    let stream = StreamId::from(id.as_str());
    let (events, incoming) = mpsc::channel(EVENTS_QUEUE_MAX);
    let request = Request::Subscribe {
        stream: StreamId::clone(&stream),
        events,
        info: Box::new(subscribe.framework_info),
        suppressed: subscribe.suppressed_roles,
        constraints: subscribe.offer_constraints.map(Box::new),
    };
    if shared.core.send(request).await.is_err() {
        return answer::stopping();
    }
    let body = Body::from_stream(events::stream(shared, stream, incoming, codec));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(codec.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("Mesos-Stream-Id", id);
    }
    response
}

fn split(headers: &HeaderMap, call: &Call) -> Option<(FrameworkId, Option<String>)> {
    let framework = FrameworkId::from(call.framework_id.as_ref()?);
    Some((framework, answer::stream_id(headers).map(str::to_owned)))
}

async fn other(shared: &Shared, headers: &HeaderMap, call: Call) -> Response {
    let Some((framework, stream)) = split(headers, &call) else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    let principal: Option<Arc<str>> = None;
    // Who was let in a moment ago, and asks for nothing that must be durable
    // before it is answered, does not wait for the core: a connection carries
    // many calls at once.
    let gate = shared.view().gate(&framework, stream.as_deref(), principal.as_deref());
    let waits = gate != CallGate::Open || stores(&call);
    let (reply, answered) = oneshot::channel();
    let reply = waits.then_some(reply);
    let request = Request::Call { framework, stream, principal, call: Box::new(call), reply };
    if shared.core.send(request).await.is_err() {
        return answer::stopping();
    }
    if !waits {
        return gated(CallGate::Open, StatusCode::ACCEPTED);
    }
    match answered.await {
        Ok(gate) => gated(gate, StatusCode::ACCEPTED),
        Err(_stopped) => answer::stopping(),
    }
}

/// Whether the call changes what is stored.
fn stores(call: &Call) -> bool {
    use karman_api::mesos::v1::offer::operation;
    match call.r#type() {
        Type::Accept => call.accept.iter().flat_map(|accept| &accept.operations).any(|it| {
            !matches!(it.r#type(), operation::Type::Launch | operation::Type::LaunchGroup)
        }),
        Type::Decline
        | Type::Revive
        | Type::Suppress
        | Type::Kill
        | Type::Shutdown
        | Type::Acknowledge
        | Type::Reconcile
        | Type::Message
        | Type::Request => false,
        Type::Unknown
        | Type::Subscribe
        | Type::UpdateFramework
        | Type::Teardown
        | Type::AcceptInverseOffers
        | Type::DeclineInverseOffers
        | Type::AcknowledgeOperationStatus
        | Type::ReconcileOperations => true,
    }
}

async fn update(shared: &Shared, headers: &HeaderMap, call: Call) -> Response {
    let (Some((framework, stream)), Some(update)) = (split(headers, &call), call.update_framework)
    else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    let (reply, answered) = oneshot::channel();
    let info = Box::new(update.framework_info);
    let request = Request::Update {
        framework,
        stream,
        principal: None,
        info,
        suppressed: update.suppressed_roles,
        constraints: update.offer_constraints.map(Box::new),
        reply,
    };
    if shared.core.send(request).await.is_err() {
        return answer::stopping();
    }
    match answered.await {
        Ok(Ok(gate)) => gated(gate, StatusCode::OK),
        Ok(Err(error)) => answer::text(StatusCode::BAD_REQUEST, error.to_string()),
        Err(_stopped) => answer::stopping(),
    }
}

fn gated(gate: CallGate, open: StatusCode) -> Response {
    match gate {
        CallGate::Open => answer::empty(open),
        CallGate::UnknownFramework => {
            answer::text(StatusCode::BAD_REQUEST, "Framework cannot be found")
        }
        CallGate::WrongPrincipal => answer::text(
            StatusCode::BAD_REQUEST,
            "The authenticated principal is not the principal set in FrameworkInfo",
        ),
        CallGate::Disconnected => {
            answer::text(StatusCode::FORBIDDEN, "Framework is not subscribed")
        }
        CallGate::NoStreamId => answer::text(
            StatusCode::BAD_REQUEST,
            "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
        ),
        CallGate::WrongStreamId => answer::text(
            StatusCode::BAD_REQUEST,
            "The stream ID included in this request didn't match the stream ID currently associated with framework",
        ),
    }
}
