//! The operator API, `POST /api/v1`, as far as it exists: reads of the snapshot
//! and TEARDOWN.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::master::{Call, Response as Answer, call::Type, response};
use karman_model::id::FrameworkId;
use tokio::sync::oneshot;

use super::render::wire;
use super::{Shared, answer, metrics, render};
use crate::core::Request;
use crate::ledger::{Command, Refusal};

pub(super) async fn handle(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    let codec = match answer::codec_of_body(headers) {
        Ok(codec) => codec,
        Err(response) => return *response,
    };
    let call: Call = match codec.decode(body) {
        Ok(call) => call,
        Err(error) => return answer::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Some(kind) = call.r#type else {
        return answer::text(StatusCode::BAD_REQUEST, "Expecting 'type' to be present");
    };
    let codec = match answer::codec_of_answer(headers) {
        Ok(codec) => codec,
        Err(response) => return *response,
    };
    if kind == i32::from(Type::Teardown) {
        let Some(v1::master::call::Teardown { framework_id }) = call.teardown else {
            return answer::text(StatusCode::BAD_REQUEST, "Expecting 'teardown' to be present");
        };
        return teardown(shared, FrameworkId::from(&framework_id)).await;
    }
    match read(shared, &call) {
        Some(answer) => send(codec, &answer),
        None => {
            let message =
                format!("{} is not supported by this release", call.r#type().as_str_name());
            answer::text(StatusCode::NOT_IMPLEMENTED, message)
        }
    }
}

fn send(codec: Codec, value: &Answer) -> Response {
    answer::body(StatusCode::OK, codec.media_type(), codec.encode(value))
}

/// `None`: not a read that is supported.
fn read(shared: &Shared, call: &Call) -> Option<Answer> {
    let view = shared.view();
    let mut answer = Answer::default();
    let kind = match call.r#type() {
        Type::GetHealth => {
            answer.get_health = Some(response::GetHealth { healthy: true });
            response::Type::GetHealth
        }
        Type::GetFlags => {
            let flags = render::master::flags(&shared.cluster_name, &view.registry.settings);
            let flag = |(name, value): (String, String)| v1::Flag { name, value: Some(value) };
            answer.get_flags =
                Some(response::GetFlags { flags: flags.into_iter().map(flag).collect() });
            response::Type::GetFlags
        }
        Type::GetVersion => {
            let version_info =
                v1::VersionInfo { version: shared.version.to_owned(), ..Default::default() };
            answer.get_version = Some(response::GetVersion { version_info });
            response::Type::GetVersion
        }
        Type::GetMetrics => {
            let metric = |(name, value)| v1::Metric { name, value: Some(value) };
            let metrics = metrics::snapshot(&view).into_iter().map(metric).collect();
            answer.get_metrics = Some(response::GetMetrics { metrics });
            response::Type::GetMetrics
        }
        Type::GetMaster => {
            answer.get_master = Some(wire::master(&view));
            response::Type::GetMaster
        }
        Type::GetState => {
            answer.get_state = Some(wire::state(&view));
            response::Type::GetState
        }
        Type::GetAgents => {
            answer.get_agents = Some(wire::agents(&view));
            response::Type::GetAgents
        }
        Type::GetFrameworks => {
            answer.get_frameworks = Some(wire::frameworks(&view));
            response::Type::GetFrameworks
        }
        Type::GetExecutors => {
            answer.get_executors = Some(wire::executors(&view));
            response::Type::GetExecutors
        }
        Type::GetTasks => {
            answer.get_tasks = Some(wire::tasks(&view));
            response::Type::GetTasks
        }
        Type::GetRoles => {
            answer.get_roles = Some(wire::roles(&view));
            response::Type::GetRoles
        }
        _unsupported => return None,
    };
    answer.r#type = Some(kind.into());
    Some(answer)
}

async fn teardown(shared: &Shared, framework: FrameworkId) -> Response {
    match command(shared, Command::Teardown { framework }).await {
        Ok(()) => answer::empty(StatusCode::OK),
        Err(response) => *response,
    }
}

/// Has the ledger carry it out; the error is the answer to give.
async fn command(shared: &Shared, command: Command) -> Result<(), Box<Response>> {
    let (reply, answered) = oneshot::channel();
    let request = Request::Command { command: Box::new(command), reply };
    if shared.core.send(request).await.is_err() {
        return Err(Box::new(answer::stopping()));
    }
    match answered.await {
        Ok(result) => result.map_err(|refusal| Box::new(refused(&refusal))),
        Err(_stopped) => Err(Box::new(answer::stopping())),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        Refusal::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
    };
    answer::text(status, refusal.to_string())
}

/// `POST /teardown` with a form.
pub(super) async fn teardown_form(shared: &Shared, body: &[u8]) -> Response {
    let form =
        std::str::from_utf8(body).ok().and_then(|body| format!("/?{body}").parse::<Uri>().ok());
    let form: BTreeMap<String, String> = form
        .and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok())
        .map(|axum::extract::Query(form)| form)
        .unwrap_or_default();
    match form.get("frameworkId") {
        Some(id) => teardown(shared, FrameworkId::from(id.as_str())).await,
        None => answer::text(
            StatusCode::BAD_REQUEST,
            "Missing 'frameworkId' query parameter in the request body",
        ),
    }
}
