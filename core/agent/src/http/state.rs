//! `/state` and `/containers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use karman_api::convert::{attributes_to_wire, resources_from_wire};
use karman_api::mesos::v1::{Attribute, ContainerStatus, value};
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
    // With what operations made of it, once a master has said so.
    let all = snapshot.held.as_deref().unwrap_or(&settings.resources);
    let by_role = |resources: &Resources, form: &dyn Fn(&Resources) -> Value| -> Value {
        let one = |role: &str| (role.to_owned(), form(&resources.reserved_to(role)));
        resources.reserved_roles().into_iter().map(one).collect::<Map<_, _>>().into()
    };
    let full = |resources: &Resources| wire(&tasks::endpoint(resources));
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
        "reserved_resources": by_role(all, &tasks::resources),
        "reserved_resources_full": by_role(all, &full),
        "reserved_resources_allocated": by_role(&used, &tasks::resources),
        "unreserved_resources": tasks::resources(&all.unreserved()),
        "unreserved_resources_full": full(&all.unreserved()),
        "unreserved_resources_allocated": tasks::resources(&used.unreserved()),
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
    let (active, completed) = executors(live.iter().copied(), done.iter().copied());
    let list = |all: &[Executor<'_>]| all.iter().map(executor).collect::<Vec<_>>();
    let roles = if info.roles.is_empty() { vec!["*".to_owned()] } else { info.roles.clone() };
    Some(json!({
        "id": id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "roles": roles,
        "executors": list(&active),
        "completed_executors": list(&completed),
    }))
}

/// An executor with all of its tasks that are known.
pub(super) struct Executor<'a> {
    pub(super) first: &'a View,
    /// Not forgotten yet, then those that are.
    tasks: Vec<(&'a View, bool)>,
}

/// The executors of these tasks, by their containers: those with a task that is
/// not forgotten, and the others.
pub(super) fn executors<'a>(
    live: impl Iterator<Item = &'a Arc<View>>,
    done: impl Iterator<Item = &'a Arc<View>>,
) -> (Vec<Executor<'a>>, Vec<Executor<'a>>) {
    let mut all: BTreeMap<&str, Executor<'a>> = BTreeMap::new();
    let both = live.map(|view| (view, true)).chain(done.map(|view| (view, false)));
    for (view, kept) in both {
        let (container, _) = view.record.root();
        let blank = || Executor { first: view, tasks: Vec::new() };
        all.entry(container).or_insert_with(blank).tasks.push((view, kept));
    }
    all.into_values().partition(|executor| executor.tasks.iter().any(|(_, kept)| *kept))
}

impl Executor<'_> {
    pub(super) fn name(&self) -> String {
        name(self.first)
    }

    /// What it and its tasks that have not ended take.
    pub(super) fn resources(&self) -> Resources {
        let own = self.first.record.member.as_ref().map(|member| &member.executor.resources);
        let own = own.and_then(|own| resources_from_wire(own).ok()).unwrap_or_default();
        let all_ended = self.tasks.iter().all(|(view, _)| tasks::has_ended(view));
        let counted = self.tasks.iter().filter(|(view, _)| all_ended || !tasks::has_ended(view));
        let taken =
            counted.filter_map(|(view, _)| resources_from_wire(&view.record.task.resources).ok());
        taken.fold(own, |all, one| all + one)
    }
}

/// A command runs as if under an executor of its own name.
pub(super) fn name(view: &View) -> String {
    match &view.record.member {
        None => format!("Command Executor (Task: {})", view.task_id()),
        Some(member) => member.executor.name.clone().unwrap_or_default(),
    }
}

fn executor(executor: &Executor<'_>) -> Value {
    let view = executor.first;
    let (container, directory) = view.record.root();
    let (ended, running): (Vec<_>, Vec<_>) =
        executor.tasks.iter().map(|(view, _)| *view).partition(|view| tasks::has_ended(view));
    let list = |views: Vec<&View>| views.into_iter().map(tasks::legacy).collect::<Vec<_>>();
    json!({
        "id": view.record.executor_id(),
        "name": executor.name(),
        "source": view.record.executor_id(),
        "container": container,
        "directory": directory,
        "resources": tasks::resources(&executor.resources()),
        "role": tasks::role(view),
        "type": if view.record.member.is_some() { "DEFAULT" } else { "COMMAND" },
        "tasks": list(running),
        "queued_tasks": [],
        "completed_tasks": list(ended),
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
                "executor_id": view.record.executor_id(),
                "executor_name": name(&view),
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
        container_id: Some(view.record.container()),
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
