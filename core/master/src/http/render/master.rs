//! The master itself in the old endpoints, and `/state` as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

#[cfg(test)]
use super::{agents, frameworks};
use crate::ledger::{Presence, View};

pub(in crate::http) fn version(version: &str) -> Value {
    json!({ "version": version, "build_date": "", "build_time": 0.0, "build_user": "" })
}

pub(in crate::http) fn flags(view: &View, cluster: &str) -> BTreeMap<String, String> {
    let settings = &view.registry.settings;
    let seconds = |duration: std::time::Duration| format!("{}secs", duration.as_secs_f64());
    let removal = settings.agent_removal_rate.map(|rate| rate.to_string());
    BTreeMap::from([
        ("cluster".to_owned(), cluster.to_owned()),
        ("offer_timeout".to_owned(), seconds(settings.offer_timeout)),
        ("agent_ping_timeout".to_owned(), seconds(settings.ping_interval)),
        ("max_agent_ping_timeouts".to_owned(), settings.pings_missed_max.to_string()),
        ("agent_reregister_timeout".to_owned(), seconds(settings.agent_reregister_timeout)),
        ("agent_removal_rate_limit".to_owned(), removal.unwrap_or_default()),
        ("max_completed_frameworks".to_owned(), settings.completed_frameworks_max.to_string()),
        ("max_completed_tasks_per_framework".to_owned(), settings.completed_tasks_max.to_string()),
        ("role_sorter".to_owned(), "drf".to_owned()),
        ("framework_sorter".to_owned(), "drf".to_owned()),
    ])
}

/// `/state` without the lists that may be long.
pub(in crate::http) fn outline(view: &View, cluster: &str, version: &str) -> Map<String, Value> {
    let master = &view.identity.info;
    let count = |wanted: fn(Presence) -> bool| {
        view.agents.values().filter(|agent| wanted(agent.presence)).count()
    };
    let capabilities: Vec<&str> =
        master.capabilities.iter().map(|it| it.r#type().as_str_name()).collect();
    let started = view.identity.started.as_secs_f64();
    let pid = master.pid.as_deref().unwrap_or_default();
    let hostname = master.hostname.as_deref().unwrap_or_default();
    let value = json!({
        "version": version,
        "build_date": "",
        "build_time": 0.0,
        "build_user": "",
        "start_time": started,
        "elected_time": started,
        "id": master.id,
        "pid": pid,
        "hostname": hostname,
        "capabilities": capabilities,
        "activated_slaves": count(|presence| matches!(presence, Presence::Registered)),
        "deactivated_slaves": count(|presence| matches!(presence, Presence::Disconnected)),
        "unreachable_slaves": count(|presence| matches!(presence, Presence::Unreachable { .. })),
        "leader": pid,
        "leader_info": { "id": master.id, "pid": pid, "port": master.port, "hostname": hostname },
        "cluster": cluster,
        "flags": flags(view, cluster),
        "orphan_tasks": [],
        "unregistered_frameworks": [],
    });
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// `/state` in one piece, as [`super::stream`] must write it.
#[cfg(test)]
pub(in crate::http) fn state(view: &View, cluster: &str, version: &str) -> Value {
    let framework = |it: &std::sync::Arc<_>| frameworks::framework(it);
    let mut fields = outline(view, cluster, version);
    let mut put = |name: &str, list: Vec<Value>| {
        fields.insert(name.to_owned(), Value::Array(list));
    };
    put("slaves", agents::all(view));
    put("recovered_slaves", agents::recovered(view));
    put("frameworks", view.frameworks.values().map(framework).collect());
    put("completed_frameworks", view.completed.iter().map(framework).collect());
    Value::Object(fields)
}
