//! The scheduler API: calls in, an event stream out.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{Call, call::Type};
use karman_model::id::FrameworkId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::auth::Principal;
use super::{Asked, Shared, answer, cutoff, events};
use crate::core::{EVENTS_QUEUE_MAX, Request};
use crate::ledger::{CallGate, StreamId};
use crate::validate;

/// The checks are in the order of Mesos; clients tell failures apart by it.
pub(super) async fn handle(shared: &Shared, asked: &Asked) -> Response {
    let call = match read_call(asked) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    let kind = call.r#type();
    if kind == Type::Unknown {
        return answer::text(StatusCode::NOT_IMPLEMENTED, "the call is not known");
    }
    let needs_answer = matches!(kind, Type::Subscribe | Type::ReconcileOperations);
    let codec = match answer::codec_of_answer(&asked.headers) {
        Err(response) if needs_answer => return *response,
        Ok(codec) => codec,
        Err(_unused) => Codec::Json,
    };
    if kind == Type::Subscribe && answer::stream_id(&asked.headers).is_some() {
        let message = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
        return answer::text(StatusCode::BAD_REQUEST, message);
    }
    if let Err(response) = shared.throttle.pass(caller(shared, asked, &call).as_deref()).await {
        return *response;
    }
    match kind {
        Type::Subscribe => subscribe(shared, codec, asked, call).await,
        Type::UpdateFramework => update(shared, asked, call).await,
        Type::Unknown
        | Type::ReconcileOperations
        | Type::Teardown
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
        | Type::Suppress => other(shared, asked, call).await,
    }
}

fn read_call(asked: &Asked) -> Result<Call, Box<Response>> {
    let codec = answer::codec_of_body(&asked.headers)?;
    let bad = |message: String| Box::new(answer::text(StatusCode::BAD_REQUEST, message));
    let call: Call = codec.decode(&asked.body).map_err(|error| bad(error.to_string()))?;
    validate::call::check(&call)
        .map_err(|error| bad(format!("Failed to validate scheduler::Call: {error}")))?;
    Ok(call)
}

/// Whose rate counts: who the caller has proved to be, or says to be where
/// nobody asks for proof.
fn caller(shared: &Shared, asked: &Asked, call: &Call) -> Option<String> {
    if let Some(principal) = &asked.principal {
        return Some(principal.to_string());
    }
    if let Some(subscribe) = &call.subscribe {
        return subscribe.framework_info.principal.clone();
    }
    let framework = FrameworkId::from(call.framework_id.as_ref()?);
    shared.view().frameworks.get(&framework)?.info.principal.clone()
}

/// An authenticated framework need not repeat who it is, and cannot be another.
fn authenticated(info: &mut v1::FrameworkInfo, principal: &Principal) -> Result<(), Box<Response>> {
    let Some(principal) = principal.as_deref() else { return Ok(()) };
    let said = info.principal.get_or_insert_with(|| principal.to_owned());
    if said == principal {
        return Ok(());
    }
    let message = format!(
        "Authenticated principal '{principal}' does not match principal '{said}' set in FrameworkInfo"
    );
    Err(Box::new(answer::text(StatusCode::BAD_REQUEST, message)))
}

async fn subscribe(shared: &Shared, codec: Codec, asked: &Asked, call: Call) -> Response {
    let Some(mut subscribe) = call.subscribe else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    if let Err(response) = authenticated(&mut subscribe.framework_info, &asked.principal) {
        return *response;
    }
    let id = uuid::Uuid::new_v4().to_string();
    let stream = StreamId::from(id.as_str());
    let (events, incoming) = mpsc::channel(EVENTS_QUEUE_MAX);
    let ended = CancellationToken::new();
    let read = cutoff::watch(shared, asked.connection.clone(), ended.clone());
    let request = Request::Subscribe {
        stream: StreamId::clone(&stream),
        events,
        open: ended.drop_guard(),
        info: Box::new(subscribe.framework_info),
        suppressed: subscribe.suppressed_roles,
        constraints: subscribe.offer_constraints.map(Box::new),
    };
    if shared.core.send(request).await.is_err() {
        return answer::stopping();
    }
    let body = Body::from_stream(events::stream(shared, stream, incoming, codec, read));
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

async fn other(shared: &Shared, asked: &Asked, call: Call) -> Response {
    let Some((framework, stream)) = split(&asked.headers, &call) else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    let principal = asked.principal.clone();
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

async fn update(shared: &Shared, asked: &Asked, call: Call) -> Response {
    let (Some((framework, stream)), Some(mut update)) =
        (split(&asked.headers, &call), call.update_framework)
    else {
        return answer::empty(StatusCode::BAD_REQUEST);
    };
    if let Err(response) = authenticated(&mut update.framework_info, &asked.principal) {
        return *response;
    }
    let (reply, answered) = oneshot::channel();
    let info = Box::new(update.framework_info);
    let request = Request::Update {
        framework,
        stream,
        principal: asked.principal.clone(),
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
