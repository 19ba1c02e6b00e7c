//! The containers of this agent, with what they use.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1::agent::response::{self, get_containers};
use karman_api::mesos::v1::{
    ContainerId, ContainerStatus, ExecutorId, FrameworkId, NetworkInfo, Resource,
    ResourceStatistics, network_info,
};
use karman_rt::time::now_ms;
use serde_json::{Value, json};

use super::{Shared, Wrapped, executors, metrics, tasks, tasks::wire};
use crate::cgroup::{Group, Stats};
use crate::driver::blocking;
use crate::settings::Settings;
use crate::view::{ExecutorView, View};

/// A container that runs.
pub(super) struct Container {
    framework_id: String,
    executor_id: String,
    executor_name: String,
    source: String,
    id: ContainerId,
    status: ContainerStatus,
    group: Option<Group>,
    wanted: Vec<Resource>,
}

impl Container {
    fn of_task(view: &View) -> Self {
        Self {
            framework_id: view.record.framework_id.clone(),
            executor_id: view.record.executor_id().to_owned(),
            executor_name: executors::name(view),
            source: view.task_id().to_owned(),
            id: view.record.container(),
            status: status(view),
            group: view.group.clone(),
            wanted: view.record.task.resources.clone(),
        }
    }

    /// With what its tasks take, which have no container of their own.
    fn of_executor(custom: &ExecutorView, tasks: &[&Arc<View>], settings: &Settings) -> Self {
        let record = &custom.record;
        let hosted = tasks.iter().filter(|view| view.record.root().0 == record.container_id);
        let mut wanted = record.executor.resources.clone();
        wanted.extend(hosted.flat_map(|view| view.record.task.resources.iter().cloned()));
        let ip_address = Some(settings.ip.to_string());
        let address = network_info::IpAddress { protocol: None, ip_address };
        let network = NetworkInfo { ip_addresses: vec![address], ..NetworkInfo::default() };
        Self {
            framework_id: record.framework_id.clone(),
            executor_id: record.executor_id().to_owned(),
            executor_name: record.executor.name.clone().unwrap_or_default(),
            source: record.executor_id().to_owned(),
            id: record.container(),
            status: ContainerStatus {
                container_id: Some(record.container()),
                network_infos: vec![network],
                cgroup_info: None,
                executor_pid: custom.shim_pid,
            },
            group: custom.group.clone(),
            wanted,
        }
    }

    fn measure(&self) -> ResourceStatistics {
        let stats = self.group.as_ref().and_then(Stats::read);
        let wanted = resources_from_wire(&self.wanted).unwrap_or_default();
        metrics::statistics(&wanted, stats, now_ms())
    }

    fn legacy(self, statistics: &ResourceStatistics, with_status: bool) -> Value {
        let mut container = json!({
            "container_id": self.id.value,
            "executor_id": self.executor_id,
            "executor_name": self.executor_name,
            "framework_id": self.framework_id,
            "source": self.source,
            "statistics": wire(statistics),
        });
        if with_status && let Some(fields) = container.as_object_mut() {
            fields.insert("status".into(), wire(&self.status));
        }
        container
    }

    fn operator(self, statistics: ResourceStatistics) -> get_containers::Container {
        get_containers::Container {
            framework_id: Some(FrameworkId { value: self.framework_id }),
            executor_id: Some(ExecutorId { value: self.executor_id }),
            executor_name: Some(self.executor_name),
            container_id: self.id,
            container_status: Some(self.status),
            resource_statistics: Some(statistics),
        }
    }
}

fn status(view: &View) -> ContainerStatus {
    let reported =
        view.statuses.last().and_then(|status| status.container_status.clone()).unwrap_or_default();
    ContainerStatus {
        container_id: Some(view.record.container()),
        executor_pid: view.shim_pid.or(reported.executor_pid),
        ..reported
    }
}

/// Every container that runs, with what it uses.
async fn measured(shared: &Shared) -> Vec<(Container, ResourceStatistics)> {
    let snapshot = shared.snapshot();
    let live: Vec<&Arc<View>> =
        snapshot.containers.values().filter(|view| !tasks::has_ended(view)).collect();
    let own = live.iter().filter(|view| !view.record.is_hosted());
    let of_executor =
        |custom: &Arc<ExecutorView>| Container::of_executor(custom, &live, &shared.settings);
    let all: Vec<Container> = own
        .map(|view| Container::of_task(view))
        .chain(snapshot.executors.values().map(of_executor))
        .collect();
    let measured = blocking(move || {
        let measure = |container: Container| {
            let statistics = container.measure();
            (container, statistics)
        };
        Ok::<_, std::io::Error>(all.into_iter().map(measure).collect::<Vec<_>>())
    });
    measured.await.unwrap_or_default()
}

pub(super) async fn containers(
    State(shared): State<Shared>,
    Query(wrapped): Query<Wrapped>,
) -> Response {
    wrapped.json(&listed(&shared, true).await)
}

/// The old name, without what was added since.
pub(super) async fn statistics(
    State(shared): State<Shared>,
    Query(wrapped): Query<Wrapped>,
) -> Response {
    wrapped.json(&listed(&shared, false).await)
}

async fn listed(shared: &Shared, with_status: bool) -> Vec<Value> {
    let all = measured(shared).await.into_iter();
    all.map(|(container, statistics)| container.legacy(&statistics, with_status)).collect()
}

pub(super) async fn get_containers(shared: &Shared) -> response::GetContainers {
    let all = measured(shared).await.into_iter();
    let containers = all.map(|(container, statistics)| container.operator(statistics)).collect();
    response::GetContainers { containers }
}
