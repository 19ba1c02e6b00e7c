//! `/state`.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::Response;
use karman_api::convert::{attributes_to_wire, resources_from_wire};
use karman_api::mesos::v1::{Attribute, value};
use karman_model::resource::Resources;
use serde_json::{Map, Value, json};

use super::executors::{self, Executor};
use super::tasks::{self, wire};
use super::{Shared, Wrapped};
use crate::core::seconds;
use crate::view::Snapshot;

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

/// What the tasks that have not ended take, and the executors.
pub(super) fn used(snapshot: &Snapshot) -> Resources {
    let live = snapshot.containers.values().filter(|view| !tasks::has_ended(view));
    let executors = snapshot.executors.values().filter_map(|custom| {
        Some(resources_from_wire(&custom.record.executor.resources).ok()?.unallocated())
    });
    live.filter_map(|view| crate::admit::resources(&view.record.task).ok())
        .chain(executors)
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

/// Frameworks that have executors, or only had.
fn frameworks(snapshot: &Snapshot, completed: bool) -> Vec<Value> {
    /// Executors of one framework: those that are there, and those forgotten.
    type Two<'a> = (Vec<Executor<'a>>, Vec<Executor<'a>>);
    let (live, done) = executors::executors(snapshot);
    let mut by_id: BTreeMap<&str, Two<'_>> = BTreeMap::new();
    for executor in live {
        by_id.entry(executor.framework_id()).or_default().0.push(executor);
    }
    for executor in done {
        by_id.entry(executor.framework_id()).or_default().1.push(executor);
    }
    let wanted = by_id.into_iter().filter(|(_, (live, _))| live.is_empty() == completed);
    wanted.filter_map(|(id, (live, done))| framework(id, &live, &done)).collect()
}

fn framework(id: &str, live: &[Executor<'_>], done: &[Executor<'_>]) -> Option<Value> {
    let info = live.first().or(done.first())?.framework()?;
    let list = |all: &[Executor<'_>]| all.iter().map(Executor::legacy).collect::<Vec<_>>();
    let roles = if info.roles.is_empty() { vec!["*".to_owned()] } else { info.roles.clone() };
    Some(json!({
        "id": id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "roles": roles,
        "executors": list(live),
        "completed_executors": list(done),
    }))
}
