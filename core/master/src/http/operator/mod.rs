//! The operator API, `POST /api/v1`: reads of the snapshot, changes through the
//! core, and an event stream.
#![expect(deprecated, reason = "clients still set quotas in the older way")]

mod read;
mod write;

use axum::http::StatusCode;
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1::master::{Call, Response as Answer, call::Type};

use super::{Asked, Shared, answer, files, logging, subscribe};

/// Why a call is answered with 400: a part of it is missing.
#[derive(Debug)]
struct Missing(&'static str);

pub(super) async fn handle(shared: &Shared, asked: &Asked) -> Response {
    let (call, codec) = match read_call(asked) {
        Ok(read) => read,
        Err(response) => return *response,
    };
    if let Err(response) = shared.throttle.pass(asked.principal.as_deref()).await {
        return *response;
    }
    match call.r#type() {
        Type::Unknown => answer::text(StatusCode::NOT_IMPLEMENTED, "the call is not known"),
        Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetMetrics
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetAgents
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetRoles
        | Type::GetWeights
        | Type::GetMaster
        | Type::GetMaintenanceStatus
        | Type::GetMaintenanceSchedule
        | Type::GetQuota => read::answer(shared, call.r#type(), codec).await,
        Type::Subscribe => subscribe::follow(shared, asked, codec).await,
        Type::SetLoggingLevel => match call.set_logging_level {
            Some(set) => logging::set(shared, set.level, set.duration.nanoseconds),
            None => missing(&Missing("set_logging_level")),
        },
        Type::ListFiles => match call.list_files {
            Some(list) => files::list(shared, &list.path, codec),
            None => missing(&Missing("list_files")),
        },
        Type::ReadFile => match call.read_file {
            Some(read) => files::read_part(shared, &read, codec),
            None => missing(&Missing("read_file")),
        },
        Type::UpdateWeights
        | Type::ReserveResources
        | Type::UnreserveResources
        | Type::CreateVolumes
        | Type::DestroyVolumes
        | Type::GrowVolume
        | Type::ShrinkVolume
        | Type::UpdateMaintenanceSchedule
        | Type::StartMaintenance
        | Type::StopMaintenance
        | Type::DrainAgent
        | Type::DeactivateAgent
        | Type::ReactivateAgent
        | Type::UpdateQuota
        | Type::SetQuota
        | Type::RemoveQuota
        | Type::Teardown
        | Type::MarkAgentGone => match write::carry_out(shared, asked, call).await {
            Ok(response) => response,
            Err(problem) => missing(&problem),
        },
    }
}

/// The call and the codec of its answer. GET_METRICS must come with its body,
/// as with Mesos.
fn read_call(asked: &Asked) -> Result<(Call, Codec), Box<Response>> {
    let codec = answer::codec_of_body(&asked.headers)?;
    let bad = |message: String| Box::new(answer::text(StatusCode::BAD_REQUEST, message));
    let call: Call = codec.decode(&asked.body).map_err(|error| bad(error.to_string()))?;
    if call.r#type.is_none() {
        return Err(bad("Expecting 'type' to be present".to_owned()));
    }
    if call.r#type() == Type::GetMetrics && call.get_metrics.is_none() {
        return Err(Box::new(missing(&Missing("get_metrics"))));
    }
    let codec = answer::codec_of_answer(&asked.headers)?;
    Ok((call, codec))
}

fn missing(Missing(part): &Missing) -> Response {
    answer::text(StatusCode::BAD_REQUEST, format!("Expecting '{part}' to be present"))
}

pub(super) fn send(codec: Codec, value: &Answer) -> Response {
    answer::body(StatusCode::OK, codec.media_type(), codec.encode(value))
}
