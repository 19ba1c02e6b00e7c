//! `/state` and `/containers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use karman_api::convert::{Format, attributes_to_wire, resources_from_wire, resources_to_wire};
use karman_api::mesos::v1::{Attribute, ContainerId, ContainerStatus, value};
use karman_model::resource::Resources;
use karman_rt::time::now_ms;
use serde_json::{Map, Value, json};

use super::tasks::{self, wire};
use super::{Shared, Wrapped};
use crate::cgroup::Stats;
use crate::core::seconds;
use crate::driver::blocking;
use crate::view::{Snapshot, View};

pub(super) async fn state(
    State(shared): State<Shared>,
    Query(wrapped): Query<Wrapped>,
) -> Response {
    wrapped.json(&dump(&shared))
}

fn dump(shared: &Shared) -> Value {
    let (settings, snapshot) = (&shared.settings, shared.snapshot());
    let all = &settings.resources;
    let reserved: Map<String, Value> = all
        .reserved_roles()
        .into_iter()
        .map(|role| (role.to_owned(), tasks::resources(&all.reserved_to(role))))
        .collect();
    let full = |resources: &Resources| wire(&resources_to_wire(resources, Format::Refined));
    let used = used(&snapshot);
    let mut state = json!({
        "version": settings.version,
        "start_time": seconds(settings.started_ms),
        "id": snapshot.agent_id.as_deref().unwrap_or_default(),
        "pid": settings.pid(),
        "hostname": settings.hostname,
        "port": settings.port,
        "capabilities": crate::settings::capability_names(),
        "resources": tasks::resources(all),
        "reserved_resources": reserved,
        "reserved_resources_full": {},
        "reserved_resources_allocated": {},
        "unreserved_resources": tasks::resources(&all.unreserved()),
        "unreserved_resources_full": full(&all.unreserved()),
        "unreserved_resources_allocated": full(&used),
        "resource_providers": [],
        "attributes": attributes(&attributes_to_wire(&settings.attributes)),
        "master_hostname": master_hostname(&snapshot),
        "log_dir": Value::Null,
        "flags": settings.flags(),
        "frameworks": frameworks(&snapshot, false),
        "completed_frameworks": frameworks(&snapshot, true),
    });
    let domain = settings.agent_info(None).domain.as_ref().map(wire);
    let drain = snapshot.drain.as_ref();
    for (name, value) in [
        ("domain", domain),
        ("drain_config", drain.map(|drain| wire(&drain.config))),
        (
            "estimated_drain_start_time_seconds",
            drain.map(|drain| json!(seconds(drain.since_ms).floor())),
        ),
    ] {
        if let (Some(value), Some(fields)) = (value, state.as_object_mut()) {
            fields.insert(name.into(), value);
        }
    }
    state
}

/// What the tasks that have not ended take.
pub(super) fn used(snapshot: &Snapshot) -> Resources {
    let live = snapshot.containers.values().filter(|view| !tasks::has_ended(view));
    live.filter_map(|view| crate::admit::resources(&view.record.task).ok())
        .fold(Resources::default(), |all, one| all + one)
}

fn master_hostname(snapshot: &Snapshot) -> String {
    let host = |url: &String| http::Uri::try_from(url).ok()?.host().map(ToOwned::to_owned);
    snapshot.master.as_ref().and_then(host).unwrap_or_default()
}

/// `{"rack": "r1", "generation": 3.0}`.
fn attributes(attributes: &[Attribute]) -> Value {
    let value = |attribute: &Attribute| match attribute.r#type() {
        value::Type::Scalar => json!(attribute.scalar.as_ref().map(|scalar| scalar.value)),
        value::Type::Ranges => {
            let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
            let texts: Vec<String> =
                ranges.map(|range| format!("{}-{}", range.begin, range.end)).collect();
            json!(format!("[{}]", texts.join(", ")))
        }
        value::Type::Set => {
            json!(attribute.set.as_ref().map(|set| format!("{{{}}}", set.item.join(", "))))
        }
        value::Type::Text => json!(attribute.text.as_ref().map(|text| &text.value)),
    };
    attributes
        .iter()
        .map(|attribute| (attribute.name.clone(), value(attribute)))
        .collect::<Map<_, _>>()
        .into()
}

/// Frameworks that have containers, or only had.
fn frameworks(snapshot: &Snapshot, completed: bool) -> Vec<Value> {
    /// Containers of one framework: those that are kept, and those forgotten.
    type Two<'a> = (Vec<&'a Arc<View>>, Vec<&'a Arc<View>>);
    let mut by_id: BTreeMap<&str, Two<'_>> = BTreeMap::new();
    for view in snapshot.containers.values() {
        by_id.entry(&view.record.framework_id).or_default().0.push(view);
    }
    for view in &snapshot.completed {
        by_id.entry(&view.record.framework_id).or_default().1.push(view);
    }
    let wanted = by_id.into_iter().filter(|(_, (live, _))| live.is_empty() == completed);
    wanted.filter_map(|(id, (live, done))| framework(id, &live, &done)).collect()
}

fn framework(id: &str, live: &[&Arc<View>], done: &[&Arc<View>]) -> Option<Value> {
    let info = &live.first().or(done.first())?.framework;
    let roles = if info.roles.is_empty() { vec!["*".to_owned()] } else { info.roles.clone() };
    Some(json!({
        "id": id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "roles": roles,
        "executors": live.iter().map(|view| executor(view)).collect::<Vec<_>>(),
        "completed_executors": done.iter().map(|view| executor(view)).collect::<Vec<_>>(),
    }))
}

/// A command runs as if under an executor of its own name.
fn executor(view: &View) -> Value {
    let task = tasks::legacy(view);
    let ended = tasks::has_ended(view);
    let resources = resources_from_wire(&view.record.task.resources).unwrap_or_default();
    json!({
        "id": view.task_id(),
        "name": format!("Command Executor (Task: {})", view.task_id()),
        "source": view.task_id(),
        "container": view.record.container_id,
        "directory": view.record.sandbox,
        "resources": tasks::resources(&resources),
        "role": tasks::role(view),
        "type": "COMMAND",
        "tasks": if ended { json!([]) } else { json!([task]) },
        "queued_tasks": [],
        "completed_tasks": if ended { json!([task]) } else { json!([]) },
    })
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
    measured(shared)
        .await
        .into_iter()
        .map(|(view, statistics)| {
            let mut container = json!({
                "container_id": view.record.container_id,
                "executor_id": view.task_id(),
                "executor_name": format!("Command Executor (Task: {})", view.task_id()),
                "framework_id": view.record.framework_id,
                "source": view.task_id(),
                "statistics": wire(&statistics),
            });
            if with_status && let Some(fields) = container.as_object_mut() {
                fields.insert("status".into(), wire(&status(&view)));
            }
            container
        })
        .collect()
}

pub(super) fn status(view: &View) -> ContainerStatus {
    let reported =
        view.statuses.last().and_then(|status| status.container_status.clone()).unwrap_or_default();
    ContainerStatus {
        container_id: Some(ContainerId { value: view.record.container_id.clone(), parent: None }),
        executor_pid: view.shim_pid.or(reported.executor_pid),
        ..reported
    }
}

/// Every container that runs, with what it uses.
pub(super) async fn measured(
    shared: &Shared,
) -> Vec<(Arc<View>, karman_api::mesos::v1::ResourceStatistics)> {
    let snapshot = shared.snapshot();
    let live: Vec<Arc<View>> = snapshot
        .containers
        .values()
        .filter(|view| !tasks::has_ended(view))
        .map(Arc::clone)
        .collect();
    let measured = blocking(move || {
        let measure = |view: Arc<View>| {
            let stats = view.group.as_ref().and_then(Stats::read);
            let statistics = super::metrics::statistics(&view, stats, now_ms());
            (view, statistics)
        };
        Ok::<_, std::io::Error>(live.into_iter().map(measure).collect::<Vec<_>>())
    });
    measured.await.unwrap_or_default()
}
