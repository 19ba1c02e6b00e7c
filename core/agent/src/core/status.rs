//! Status updates in their wire form.

use karman_api::convert::{Format, resource_to_wire};
use karman_api::mesos::v1::network_info::IpAddress;
use karman_api::mesos::v1::task_status::{Reason, Source};
use karman_api::mesos::v1::{
    AgentId, CheckInfo, CheckStatusInfo, ContainerStatus, ExecutorId, NetworkInfo,
    TaskResourceLimitation, TaskState, TaskStatus, check_info, check_status_info,
};
use karman_model::quantity::Quantity;
use karman_model::resource::Resource;
use uuid::Uuid;

use super::Entry;
use crate::checks::Outcome;
use crate::lifecycle::Report;
use crate::settings::Settings;

/// The update for one change of a container.
pub(super) fn of(settings: &Settings, entry: &Entry, report: Report, now_ms: u64) -> TaskStatus {
    let Report { state, source, reason, message, healthy, limitation_memory_bytes } = report;
    TaskStatus {
        message,
        reason: reason.map(i32::from),
        healthy: healthy.or(entry.view.healthy),
        limitation: limitation_memory_bytes.map(limitation),
        ..blank(settings, entry, state, source, now_ms)
    }
}

/// A running task whose health or check has news.
pub(super) fn checked(
    settings: &Settings,
    entry: &Entry,
    reason: Reason,
    now_ms: u64,
) -> TaskStatus {
    let healthy = entry.view.healthy;
    let reason = Some(reason.into());
    TaskStatus {
        reason,
        healthy,
        ..blank(settings, entry, TaskState::TaskRunning, Source::Executor, now_ms)
    }
}

fn blank(
    settings: &Settings,
    entry: &Entry,
    state: TaskState,
    source: Source,
    now_ms: u64,
) -> TaskStatus {
    let record = &entry.record;
    TaskStatus {
        task_id: record.task.task_id.clone(),
        state: state.into(),
        message: None,
        source: Some(source.into()),
        reason: None,
        data: None,
        agent_id: Some(AgentId { value: record.agent_id.clone() }),
        executor_id: Some(ExecutorId { value: record.executor_id().to_owned() }),
        timestamp: Some(seconds(now_ms)),
        uuid: Some(Uuid::new_v4().as_bytes().to_vec().into()),
        healthy: None,
        check_status: entry.view.check,
        labels: None,
        container_status: Some(container(settings, entry)),
        unreachable_time: None,
        limitation: None,
    }
}

pub(super) fn container(settings: &Settings, entry: &Entry) -> ContainerStatus {
    let address = IpAddress { protocol: None, ip_address: Some(settings.ip.to_string()) };
    ContainerStatus {
        container_id: Some(entry.record.container()),
        network_infos: vec![NetworkInfo { ip_addresses: vec![address], ..NetworkInfo::default() }],
        cgroup_info: None,
        executor_pid: entry.view.shim_pid,
    }
}

/// Memory that was not enough.
#[expect(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
fn limitation(bytes: u64) -> TaskResourceLimitation {
    let amount = Quantity::from_f64((bytes >> 20) as f64).ok();
    let resources =
        amount.map(|amount| resource_to_wire(&Resource::scalar("mem", amount), Format::Refined));
    TaskResourceLimitation { resources: resources.into_iter().collect() }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 need 41 bits")]
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// What a check found, or has not found yet, in the form of its kind.
pub(super) fn check(info: &CheckInfo, answer: Option<Outcome>) -> CheckStatusInfo {
    let kind = info.r#type();
    let mut status = CheckStatusInfo { r#type: Some(kind.into()), ..CheckStatusInfo::default() };
    match kind {
        check_info::Type::Command => {
            let exit_code = answer.and_then(|answer| {
                if let Outcome::Command(status) = answer { Some(status) } else { None }
            });
            status.command = Some(check_status_info::Command { exit_code });
        }
        check_info::Type::Http => {
            let status_code = answer.and_then(|answer| {
                if let Outcome::Http(status) = answer { Some(status) } else { None }
            });
            status.http = Some(check_status_info::Http { status_code });
        }
        check_info::Type::Tcp => {
            status.tcp = Some(check_status_info::Tcp {
                succeeded: answer.map(|answer| answer == Outcome::Tcp),
            });
        }
        check_info::Type::Unknown => {}
    }
    status
}
