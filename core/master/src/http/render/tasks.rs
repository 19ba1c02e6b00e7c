//! Tasks in the old endpoints.

use karman_api::mesos::v1;
use serde_json::{Map, Value, json};

use super::super::query::Query;
use super::resources::short;
use crate::ledger::{Framework, Task, View};

/// How many tasks a page has unless the reader says.
const LIMIT: usize = 100;

/// Which keys there are; [`super::quick`] must follow.
pub(in crate::http) fn task(task: &Task) -> Value {
    let info = task.info();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("id", json!(task.id.as_str()));
    put("name", json!(info.name));
    put("framework_id", json!(task.framework.as_str()));
    put(
        "executor_id",
        json!(info.executor.as_ref().map_or("", |executor| executor.executor_id.value.as_str())),
    );
    put("slave_id", json!(task.agent.as_str()));
    put("state", json!(task.state.as_str_name()));
    put("resources", short(&task.resources));
    put("role", json!(&*task.role));
    put("statuses", task.statuses().map(|it| status(&it)).collect());
    if !info.limits.is_empty() {
        let limits = info.limits.iter().map(|(name, limit)| {
            let limit =
                if limit.value.is_finite() { json!(limit.value) } else { json!("Infinity") };
            (name.clone(), limit)
        });
        put("limits", Value::Object(limits.collect()));
    }
    if let Some(user) = info.command.as_ref().and_then(|command| command.user.as_ref()) {
        put("user", json!(user));
    }
    if let Some(labels) = &info.labels {
        put("labels", json!(labels.labels));
    }
    if let Some(discovery) = &info.discovery {
        put("discovery", json!(discovery));
    }
    if let Some(container) = &info.container {
        put("container", json!(container));
    }
    if let Some(health_check) = &info.health_check {
        put("health_check", json!(health_check));
    }
    Value::Object(fields)
}

fn status(status: &v1::TaskStatus) -> Value {
    let mut fields = Map::new();
    fields.insert("state".to_owned(), json!(status.state().as_str_name()));
    fields.insert("timestamp".to_owned(), json!(status.timestamp.unwrap_or_default()));
    if let Some(labels) = &status.labels {
        fields.insert("labels".to_owned(), json!(labels.labels));
    }
    if let Some(container) = &status.container_status {
        fields.insert("container_status".to_owned(), json!(container));
    }
    if let Some(healthy) = status.healthy {
        fields.insert("healthy".to_owned(), json!(healthy));
    }
    Value::Object(fields)
}

/// What a reader of `/tasks` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) struct Wanted {
    limit: Option<usize>,
    offset: usize,
    ascending: bool,
    framework: Option<String>,
    task: Option<String>,
}

impl Wanted {
    pub(in crate::http) fn from_query(query: &Query) -> Result<Self, String> {
        let number = |name: &str| query.number::<i64>(name);
        let limit = match number("limit")? {
            None => Some(LIMIT),
            // Everything.
            Some(-1) => None,
            Some(limit) => Some(
                usize::try_from(limit).map_err(|_| "'limit' must not be negative".to_owned())?,
            ),
        };
        let offset = number("offset")?.unwrap_or_default();
        let ascending = match query.get("order") {
            Some("asc") => true,
            Some("desc") | None => false,
            Some(other) => {
                return Err(format!("Expecting 'order' to be asc or desc, not '{other}'"));
            }
        };
        Ok(Self {
            limit,
            offset: usize::try_from(offset)
                .map_err(|_| "'offset' must not be negative".to_owned())?,
            ascending,
            framework: query.get("framework_id").map(str::to_owned),
            task: query.get("task_id").map(str::to_owned),
        })
    }
}

/// When the task was first heard of, to sort by.
fn began(task: &Task) -> f64 {
    task.statuses().next().and_then(|status| status.timestamp).unwrap_or(f64::MAX)
}

pub(in crate::http) fn page(view: &View, wanted: &Wanted) -> Value {
    let frameworks = view.frameworks.values().chain(&view.completed);
    let frameworks =
        frameworks.filter(|it| wanted.framework.as_ref().is_none_or(|id| it.id.as_str() == id));
    let mut tasks: Vec<&Task> = frameworks
        .flat_map(|framework| everything(framework))
        .filter(|task| wanted.task.as_ref().is_none_or(|id| task.id.as_str() == id))
        .collect();
    tasks.sort_by(|a, b| began(a).total_cmp(&began(b)));
    if !wanted.ascending {
        tasks.reverse();
    }
    let page = tasks.into_iter().skip(wanted.offset).take(wanted.limit.unwrap_or(usize::MAX));
    json!({ "tasks": page.map(task).collect::<Vec<_>>() })
}

fn everything(framework: &Framework) -> impl Iterator<Item = &Task> {
    let known =
        framework.tasks.values().chain(framework.unreachable.values()).chain(&framework.completed);
    known.map(AsRef::as_ref)
}
