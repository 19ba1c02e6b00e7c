//! Frameworks in the old endpoints.

use bytes::Bytes;
use karman_api::convert;
use karman_api::mesos::v1;
use karman_model::resource::Resources;
use serde_json::{Map, Value, json};

use super::resources::short;
use super::tasks::task;
use crate::ledger::{Framework, Link, Offer, View};

/// What the summary says of a framework, too.
pub(in crate::http) fn outline(framework: &Framework) -> Map<String, Value> {
    let info = &*framework.info;
    let capabilities: Vec<&str> =
        info.capabilities.iter().map(|capability| capability.r#type().as_str_name()).collect();
    let recovered = matches!(framework.link, Link::Recovered { .. });
    let value = json!({
        "id": framework.id.as_str(),
        "name": info.name,
        "used_resources": short(&framework.used()),
        "offered_resources": short(&framework.offered()),
        "capabilities": capabilities,
        "hostname": info.hostname.as_deref().unwrap_or_default(),
        "webui_url": info.webui_url.as_deref().unwrap_or_default(),
        "active": framework.is_connected(),
        "connected": framework.is_connected(),
        "recovered": recovered,
    });
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// Everything but the lists that may be long.
pub(in crate::http) fn fields(framework: &Framework) -> Map<String, Value> {
    let info = &*framework.info;
    let mut fields = outline(framework);
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("user", json!(info.user));
    put("failover_timeout", json!(info.failover_timeout.unwrap_or_default()));
    put("checkpoint", json!(info.checkpoint.unwrap_or_default()));
    put("registered_time", json!(framework.registered.as_secs_f64()));
    put("unregistered_time", json!(framework.unregistered.map_or(0.0, |time| time.as_secs_f64())));
    if let Some(reregistered) = framework.reregistered {
        put("reregistered_time", json!(reregistered.as_secs_f64()));
    }
    if let Some(principal) = &info.principal {
        put("principal", json!(principal));
    }
    put("resources", short(&(framework.used() + framework.offered())));
    if framework.capabilities.multi_role {
        put("roles", framework.roles.iter().map(|role| json!(&**role)).collect());
    } else {
        put("role", json!(framework.roles.first().map_or("*", |role| role)));
    }
    if let Some(constraints) = &framework.constraints {
        put("offer_constraints", json!(constraints));
    }
    put("executors", executors(framework));
    if let Some(v1::Labels { labels }) = &info.labels {
        put("labels", json!(labels));
    }
    fields
}

pub(in crate::http) fn framework(framework: &Framework) -> Value {
    let mut fields = fields(framework);
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("tasks", framework.tasks.values().map(|it| task(it)).collect());
    put("unreachable_tasks", framework.unreachable.values().map(|it| task(it)).collect());
    put("completed_tasks", framework.completed.iter().map(|it| task(it)).collect());
    put("offers", framework.offers.values().map(|it| offer(it)).collect());
    Value::Object(fields)
}

/// Made once: an offer never changes.
pub(in crate::http) fn shown_offer(it: &Offer) -> &Bytes {
    it.shown.get_or_make(|| {
        let mut json = Vec::new();
        super::stream::write(&mut json, &offer(it));
        json
    })
}

fn offer(offer: &Offer) -> Value {
    json!({
        "id": offer.id.as_str(),
        "framework_id": offer.framework.as_str(),
        "allocation_info": { "role": &*offer.role },
        "slave_id": offer.agent.as_str(),
        "resources": short(&offer.resources),
    })
}

fn executors(framework: &Framework) -> Value {
    let tasks = framework.tasks.values().filter(|task| task.executor.is_some());
    let tasks = tasks.filter_map(|task| Some((task, task.info().executor?)));
    tasks
        .map(|(task, executor)| {
            json!({
                "executor_id": executor.executor_id.value,
                "name": executor.name.as_deref().unwrap_or_default(),
                "framework_id": framework.id.as_str(),
                "command": executor.command,
                "resources": short(&resources_of(&executor)),
                "labels": executor.labels.as_ref().map(|it| &*it.labels).unwrap_or_default(),
                "type": executor.r#type().as_str_name(),
                "slave_id": task.agent.as_str(),
            })
        })
        .collect()
}

fn resources_of(executor: &v1::ExecutorInfo) -> Resources {
    convert::resources_from_wire(&executor.resources).unwrap_or_default()
}

pub(in crate::http) fn frameworks(view: &View, id: Option<&str>) -> Value {
    let wanted = |it: &&std::sync::Arc<Framework>| id.is_none_or(|id| it.id.as_str() == id);
    json!({
        "frameworks": view.frameworks.values().filter(wanted).map(|it| framework(it)).collect::<Vec<_>>(),
        "completed_frameworks": view.completed.iter().filter(wanted).map(|it| framework(it)).collect::<Vec<_>>(),
        "unregistered_frameworks": [],
    })
}
