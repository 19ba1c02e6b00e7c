//! The calls that change something.
#![expect(deprecated, reason = "clients still set quotas in the older way")]

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use karman_api::mesos::v1;
use karman_api::mesos::v1::master::{Call, call, call::Type};

use super::super::change::{self, operate};
use super::super::{Asked, Shared, answer};
use super::Missing;
use crate::ledger::Command;

pub(super) async fn carry_out(
    shared: &Shared,
    asked: &Asked,
    call: Call,
) -> Result<Response, Missing> {
    let (agent, operation) = match call.r#type() {
        Type::ReserveResources => {
            let it = call.reserve_resources.ok_or(Missing("reserve_resources"))?;
            (Some(it.agent_id), change::reserve(it.source, it.resources))
        }
        Type::UnreserveResources => {
            let it = call.unreserve_resources.ok_or(Missing("unreserve_resources"))?;
            (Some(it.agent_id), change::unreserve(it.resources))
        }
        Type::CreateVolumes => {
            let it = call.create_volumes.ok_or(Missing("create_volumes"))?;
            (Some(it.agent_id), change::create(it.volumes))
        }
        Type::DestroyVolumes => {
            let it = call.destroy_volumes.ok_or(Missing("destroy_volumes"))?;
            (Some(it.agent_id), change::destroy(it.volumes))
        }
        Type::GrowVolume => {
            let it = call.grow_volume.ok_or(Missing("grow_volume"))?;
            (it.agent_id, change::grow(it.volume, it.addition))
        }
        Type::ShrinkVolume => {
            let it = call.shrink_volume.ok_or(Missing("shrink_volume"))?;
            (it.agent_id, change::shrink(it.volume, it.subtract))
        }
        _command => {
            let command = match command(call)? {
                Ok(command) => command,
                Err(problem) => return Ok(answer::text(StatusCode::BAD_REQUEST, problem)),
            };
            return Ok(change::carry_out(shared, command, StatusCode::OK).await);
        }
    };
    let agent = agent.ok_or(Missing("agent_id"))?;
    Ok(operate(shared, &agent, &asked.principal, operation).await)
}

/// The inner error is a sentence about a value that cannot be meant.
fn command(call: Call) -> Result<Result<Command, String>, Missing> {
    Ok(Ok(match call.r#type() {
        Type::UpdateWeights => {
            let it = call.update_weights.ok_or(Missing("update_weights"))?;
            Command::UpdateWeights { weights: it.weight_infos }
        }
        Type::UpdateQuota => {
            let it = call.update_quota.ok_or(Missing("update_quota"))?;
            Command::UpdateQuota { force: it.force.unwrap_or_default(), configs: it.quota_configs }
        }
        Type::SetQuota => {
            let it = call.set_quota.ok_or(Missing("set_quota"))?;
            Command::SetQuota { request: Box::new(it.quota_request) }
        }
        Type::RemoveQuota => {
            let it = call.remove_quota.ok_or(Missing("remove_quota"))?;
            Command::RemoveQuota { role: it.role }
        }
        Type::UpdateMaintenanceSchedule => {
            let field = "update_maintenance_schedule";
            let it = call.update_maintenance_schedule.ok_or(Missing(field))?;
            Command::UpdateSchedule { schedule: it.schedule }
        }
        Type::StartMaintenance => {
            let it = call.start_maintenance.ok_or(Missing("start_maintenance"))?;
            Command::StartMaintenance { machines: it.machines }
        }
        Type::StopMaintenance => {
            let it = call.stop_maintenance.ok_or(Missing("stop_maintenance"))?;
            Command::StopMaintenance { machines: it.machines }
        }
        Type::DrainAgent => return Ok(drain(call.drain_agent.ok_or(Missing("drain_agent"))?)),
        Type::DeactivateAgent => {
            let it = call.deactivate_agent.ok_or(Missing("deactivate_agent"))?;
            Command::Deactivate { agent: (&it.agent_id).into() }
        }
        Type::ReactivateAgent => {
            let it = call.reactivate_agent.ok_or(Missing("reactivate_agent"))?;
            Command::Reactivate { agent: (&it.agent_id).into() }
        }
        Type::MarkAgentGone => {
            let it = call.mark_agent_gone.ok_or(Missing("mark_agent_gone"))?;
            Command::MarkGone { agent: (&it.agent_id).into() }
        }
        // All others are dealt with above and before.
        _teardown => {
            let it = call.teardown.ok_or(Missing("teardown"))?;
            Command::Teardown { framework: (&it.framework_id).into() }
        }
    }))
}

fn drain(drain: call::DrainAgent) -> Result<Command, String> {
    let call::DrainAgent { agent_id, max_grace_period, mark_gone } = drain;
    let max_grace = max_grace_period.map(|it| {
        let whole = u64::try_from(it.seconds).ok().map(Duration::from_secs);
        let rest = u64::try_from(it.nanos).ok().map(Duration::from_nanos);
        whole.zip(rest).map(|(whole, rest)| whole.saturating_add(rest)).ok_or_else(|| {
            format!(
                "drain_agent.max_grace_period of {} s and {} ns must not be negative",
                it.seconds, it.nanos
            )
        })
    });
    Ok(Command::Drain {
        agent: (&agent_id as &v1::AgentId).into(),
        max_grace: max_grace.transpose()?,
        mark_gone: mark_gone.unwrap_or_default(),
    })
}
