//! What clients see of an app and of deployments: computed when something
//! changed, served as it is.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_api::marathon::v2::app::AppInfo;
use karman_api::marathon::v2::deployment::{self, CurrentAction, DeploymentRef};
use karman_api::marathon::v2::queue::{Delay, Item, OffersSummary, UnusedOffer};
use karman_api::marathon::v2::task::{HealthResult, IpAddress, Task, TaskFailure};
use karman_api::marathon::v2::time;
use karman_model::time::Timestamp;

use crate::instance::{Condition, Instance};
use crate::machine::{Deployment, Service, Spec};

/// An app that is not being removed.
#[derive(Clone, Debug)]
pub struct AppView {
    pub spec: Arc<Spec>,
    pub info: AppInfo,
    /// `info` as JSON: the list of all apps is these, side by side.
    pub json: String,
    pub tasks: Vec<Task>,
    pub last_failure: Option<TaskFailure>,
    /// Oldest first.
    pub versions: Vec<Arc<Spec>>,
    pub queue: Option<QueueView>,
}

/// An app with instances that wait.
#[derive(Clone, Debug)]
pub struct QueueView {
    pub count: u32,
    pub until: Timestamp,
    pub since: Timestamp,
    pub summary: OffersSummary,
    pub unused: Vec<UnusedOffer>,
}

pub fn app(id: &str, service: &Service) -> Option<AppView> {
    let spec = service.target.clone()?;
    let counts = service.counts();
    let deployments = service.deployment.iter().map(|id| DeploymentRef { id: id.clone() });
    let info = AppInfo {
        app: spec.app.clone(),
        tasks_staged: Some(counts.staged),
        tasks_running: Some(counts.running),
        tasks_healthy: Some(counts.healthy),
        tasks_unhealthy: Some(counts.unhealthy),
        deployments: Some(deployments.collect()),
        tasks: None,
        last_task_failure: None,
    };
    let launched =
        service.instances.values().filter(|instance| instance.condition != Condition::Scheduled);
    Some(AppView {
        // An app holds strings, numbers, lists and maps with string keys.
        json: serde_json::to_string(&info).expect("apps always have a JSON form"),
        tasks: launched.map(|instance| task(service, id, instance)).collect(),
        last_failure: service.last_failure.clone(),
        versions: service.versions.values().cloned().collect(),
        queue: queue(service),
        info,
        spec,
    })
}

fn queue(service: &Service) -> Option<QueueView> {
    let count = service.scheduled().count();
    let since = service.queue.since?;
    (count > 0).then(|| QueueView {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        until: service.backoff.until(),
        since,
        summary: service.queue.summary.clone(),
        unused: service.queue.unused.clone(),
    })
}

impl AppView {
    /// Its place in the launch queue, if it waits.
    pub fn queue_item(&self, now: Timestamp, with_offers: bool) -> Option<Item> {
        let queue = self.queue.as_ref()?;
        let left = queue.until.since(now);
        Some(Item {
            app: self.spec.app.clone(),
            count: queue.count,
            // Rounded up: while any of a second is left it is not overdue.
            delay: Delay {
                time_left_seconds: left.as_secs() + u64::from(left.subsec_nanos() > 0),
                overdue: left.is_zero(),
            },
            since: time::format(queue.since.as_ms()),
            processed_offers_summary: queue.summary.clone(),
            last_unused_offers: with_offers.then(|| queue.unused.clone()),
        })
    }
}

pub fn task(service: &Service, app: &str, instance: &Instance) -> Task {
    let at = |at: Timestamp| time::format(at.as_ms());
    let placement = instance.placement.as_ref();
    let spec = service.spec_of(instance);
    let service_ports =
        spec.map(|spec| spec.app.port_definitions.iter().map(|one| one.port).collect());
    Task {
        app_id: app.to_owned(),
        id: instance.task_id(),
        host: instance.host().to_owned(),
        slave_id: placement.map(|placement| placement.agent_id.clone()),
        state: instance.condition.task_state().to_owned(),
        ports: placement.map(|placement| placement.ports.clone()).unwrap_or_default(),
        service_ports: service_ports.unwrap_or_default(),
        ip_addresses: ip_addresses(instance),
        staged_at: instance.staged_at.map(at),
        started_at: instance.started_at.map(at),
        version: Some(at(instance.version)),
        health_check_results: health(instance).into_iter().collect(),
        region: placement.and_then(|placement| placement.region.clone()),
        zone: placement.and_then(|placement| placement.zone.clone()),
        role: Some(crate::matcher::offer::ROLE.to_owned()),
    }
}

fn health(instance: &Instance) -> Option<HealthResult> {
    let at = |at: Timestamp| time::format(at.as_ms());
    let health = &instance.health;
    Some(HealthResult {
        alive: health.alive?,
        consecutive_failures: health.consecutive_failures,
        instance_id: instance.id.clone(),
        first_success: health.first_success.map(at),
        last_success: health.last_success.map(at),
        last_failure: health.last_failure.map(at),
        last_failure_cause: health.cause.clone(),
    })
}

pub fn ip_addresses(instance: &Instance) -> Vec<IpAddress> {
    let protocol = |ip: &str| if ip.contains(':') { "IPv6" } else { "IPv4" }.to_owned();
    let address = |ip: &String| IpAddress { ip_address: ip.clone(), protocol: protocol(ip) };
    instance.ips.iter().map(address).collect()
}

pub fn deployment(deployment: &Deployment) -> deployment::Deployment {
    let current = deployment.steps.get(deployment.current);
    let action = |action: &deployment::Action| CurrentAction {
        action: action.action,
        app: action.app.clone(),
        readiness_check_results: Vec::new(),
    };
    deployment::Deployment {
        id: deployment.id.clone(),
        version: time::format(deployment.version.as_ms()),
        affected_apps: deployment.changes.keys().cloned().collect(),
        affected_pods: Vec::new(),
        steps: deployment.steps.clone(),
        current_actions: current
            .map(|step| step.actions.iter().map(action).collect())
            .unwrap_or_default(),
        current_step: deployment.current + 1,
        total_steps: deployment.steps.len(),
    }
}
