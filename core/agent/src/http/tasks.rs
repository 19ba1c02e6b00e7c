//! Tasks and resources in the forms of the two APIs.

use karman_api::convert::{Format, resource_to_wire, resources_from_wire};
use karman_api::mesos::v1::{AgentId, ExecutorId, FrameworkId, Resource, Task, TaskStatus};
use karman_model::resource::Resources;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::recover::is_terminal;
use crate::view::View;

/// What is always named, even if there is none of it.
const SCALARS: &[&str] = &["cpus", "gpus", "mem", "disk"];

/// `{"cpus": 1.0, …, "ports": "[31000-31001]"}`.
pub(super) fn resources(resources: &Resources) -> Value {
    let mut all = Map::new();
    for name in SCALARS {
        all.insert((*name).to_owned(), json!(resources.scalar(name).as_f64()));
    }
    for name in resources.names() {
        let ranges = resources.ranges(name);
        if !ranges.is_empty() {
            all.insert(name.to_owned(), Value::String(ranges.to_string()));
        } else if !SCALARS.contains(&name) {
            all.insert(name.to_owned(), json!(resources.scalar(name).as_f64()));
        }
    }
    Value::Object(all)
}

/// In both forms at once, as everybody reads them: a role beside the
/// reservations that lead to it.
#[expect(deprecated, reason = "clients read the old field still")]
pub(super) fn endpoint(resources: &Resources) -> Vec<Resource> {
    let both = |resource: &karman_model::resource::Resource| {
        let legacy = resource_to_wire(resource, Format::Legacy);
        let refined = resource_to_wire(resource, Format::Refined);
        Resource { role: legacy.role, reservation: legacy.reservation, ..refined }
    };
    resources.iter().map(both).collect()
}

pub(super) fn has_ended(view: &View) -> bool {
    is_terminal(view.state())
}

/// A task as `/state` has it.
pub(super) fn legacy(view: &View) -> Value {
    let info = &view.record.task;
    let wanted = resources_from_wire(&info.resources).unwrap_or_default();
    let mut task = Map::new();
    let mut put = |name: &str, value: Value| task.insert(name.to_owned(), value);
    put("id", json!(info.task_id.value));
    put("name", json!(info.name));
    put("framework_id", json!(view.record.framework_id));
    // A command has no executor that anybody knows of.
    let executor = view.record.member.as_ref().map_or("", |_| view.record.executor_id());
    put("executor_id", json!(executor));
    put("slave_id", json!(view.record.agent_id));
    put("state", json!(view.state().as_str_name()));
    put("resources", resources(&wanted));
    put("role", json!(role(view)));
    put("statuses", view.statuses.iter().map(status).collect());
    let user = info.command.as_ref().and_then(|command| command.user.as_ref());
    put("user", json!(user.unwrap_or(&view.framework.user)));
    for (name, value) in [
        ("labels", info.labels.as_ref().map(|labels| wire(&labels.labels))),
        ("discovery", info.discovery.as_ref().map(wire)),
        ("container", info.container.as_ref().map(wire)),
        ("health_check", info.health_check.as_ref().map(wire)),
        ("limits", Some(&info.limits).filter(|limits| !limits.is_empty()).map(wire)),
    ] {
        if let Some(value) = value {
            put(name, value);
        }
    }
    Value::Object(task)
}

fn status(status: &TaskStatus) -> Value {
    let mut all = Map::new();
    all.insert("state".into(), json!(status.state().as_str_name()));
    all.insert("timestamp".into(), json!(status.timestamp()));
    for (name, value) in [
        ("labels", status.labels.as_ref().map(|labels| wire(&labels.labels))),
        ("container_status", status.container_status.as_ref().map(wire)),
        ("healthy", status.healthy.map(Value::Bool)),
        ("message", status.message.as_ref().map(wire)),
    ] {
        if let Some(value) = value {
            all.insert(name.into(), value);
        }
    }
    Value::Object(all)
}

/// The wire form, as JSON.
pub(super) fn wire(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(super) fn role(view: &View) -> String {
    let allocated = view
        .record
        .task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.clone());
    allocated.or_else(|| view.framework.roles.first().cloned()).unwrap_or_else(|| "*".into())
}

/// A task as the operator API has it.
pub(super) fn operator(view: &View) -> Task {
    let info = &view.record.task;
    Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: FrameworkId { value: view.record.framework_id.clone() },
        executor_id: Some(ExecutorId { value: view.record.executor_id().to_owned() }),
        agent_id: AgentId { value: view.record.agent_id.clone() },
        state: view.state().into(),
        resources: info.resources.clone(),
        statuses: view.statuses.clone(),
        status_update_state: view.statuses.last().map(|status| status.state),
        status_update_uuid: view.statuses.last().and_then(|status| status.uuid.clone()),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user: info.command.as_ref().and_then(|command| command.user.clone()),
        limits: info.limits.clone(),
    }
}
