//! The calls that only read.

use std::convert::Infallible;

use axum::http::StatusCode;
use axum::response::Response;
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::master::{Response as Answer, call::Type, response};

use super::super::render::{master, registry, wire};
use super::super::{Shared, answer, metrics};
use super::send;
use crate::ledger::View;

pub(super) async fn answer(shared: &Shared, kind: Type, codec: Codec) -> Response {
    let small = match kind {
        Type::GetHealth => Some(health()),
        Type::GetFlags => Some(flags(shared)),
        Type::GetVersion => Some(version(shared)),
        Type::GetMetrics => Some(all_metrics(shared).await),
        Type::GetLoggingLevel => Some(logging_level(shared)),
        _of_snapshot => None,
    };
    if let Some(small) = small {
        return send(codec, &small);
    }
    let view = shared.view();
    let written =
        shared.renders.write(move || Ok::<_, Infallible>(codec.encode(&of_view(&view, kind))));
    match written.await {
        Ok(Ok(bytes)) => answer::body(StatusCode::OK, codec.media_type(), bytes),
        Ok(Err(never)) => match never {},
        Err(busy) => *busy,
    }
}

fn of_type(kind: response::Type) -> Answer {
    Answer { r#type: Some(kind.into()), ..Answer::default() }
}

fn health() -> Answer {
    let get_health = Some(response::GetHealth { healthy: true });
    Answer { get_health, ..of_type(response::Type::GetHealth) }
}

fn flags(shared: &Shared) -> Answer {
    let flags = master::flags(&shared.view(), &shared.cluster_name);
    let flag = |(name, value): (String, String)| v1::Flag { name, value: Some(value) };
    let get_flags = Some(response::GetFlags { flags: flags.into_iter().map(flag).collect() });
    Answer { get_flags, ..of_type(response::Type::GetFlags) }
}

fn version(shared: &Shared) -> Answer {
    let version_info = v1::VersionInfo { version: shared.version.to_owned(), ..Default::default() };
    let get_version = Some(response::GetVersion { version_info });
    Answer { get_version, ..of_type(response::Type::GetVersion) }
}

async fn all_metrics(shared: &Shared) -> Answer {
    let metric = |(name, value)| v1::Metric { name, value: Some(value) };
    let metrics = metrics::snapshot(shared).await.into_iter().map(metric).collect();
    let get_metrics = Some(response::GetMetrics { metrics });
    Answer { get_metrics, ..of_type(response::Type::GetMetrics) }
}

fn logging_level(shared: &Shared) -> Answer {
    let level = shared.log.level();
    let get_logging_level = Some(response::GetLoggingLevel { level });
    Answer { get_logging_level, ..of_type(response::Type::GetLoggingLevel) }
}

fn of_view(view: &View, kind: Type) -> Answer {
    let mut answer = Answer::default();
    let kind = match kind {
        Type::GetState => {
            answer.get_state = Some(wire::state(view));
            response::Type::GetState
        }
        Type::GetAgents => {
            answer.get_agents = Some(wire::agents(view));
            response::Type::GetAgents
        }
        Type::GetFrameworks => {
            answer.get_frameworks = Some(wire::frameworks(view));
            response::Type::GetFrameworks
        }
        Type::GetExecutors => {
            answer.get_executors = Some(wire::executors(view));
            response::Type::GetExecutors
        }
        Type::GetOperations => {
            answer.get_operations = Some(wire::operations(view));
            response::Type::GetOperations
        }
        Type::GetTasks => {
            answer.get_tasks = Some(wire::tasks(view));
            response::Type::GetTasks
        }
        Type::GetRoles => {
            answer.get_roles = Some(wire::roles(view));
            response::Type::GetRoles
        }
        Type::GetMaster => {
            answer.get_master = Some(wire::master(view));
            response::Type::GetMaster
        }
        Type::GetWeights => {
            let weight_infos = registry::weights(view);
            answer.get_weights = Some(response::GetWeights { weight_infos });
            response::Type::GetWeights
        }
        Type::GetQuota => {
            answer.get_quota = Some(response::GetQuota { status: registry::quota(view) });
            response::Type::GetQuota
        }
        Type::GetMaintenanceSchedule => {
            let schedule = registry::schedule(view);
            answer.get_maintenance_schedule = Some(response::GetMaintenanceSchedule { schedule });
            response::Type::GetMaintenanceSchedule
        }
        Type::GetMaintenanceStatus => {
            let status = view.maintenance_status();
            answer.get_maintenance_status = Some(response::GetMaintenanceStatus { status });
            response::Type::GetMaintenanceStatus
        }
        _elsewhere => response::Type::Unknown,
    };
    answer.r#type = Some(kind.into());
    answer
}
