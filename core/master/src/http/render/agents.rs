//! Agents in the old endpoints, where they are called slaves.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::resources::{attributes, full, reserved, reserved_full, short};
use super::stream::{append, write};
use crate::ledger::{Agent, Presence, View};

/// What every endpoint says of an agent.
pub(in crate::http) fn slave(agent: &Agent) -> Map<String, Value> {
    let capabilities: Vec<&str> =
        agent.capabilities.iter().map(|it| it.r#type().as_str_name()).collect();
    let value = json!({
        "id": agent.id.as_str(),
        "hostname": agent.info.hostname,
        "port": agent.port(),
        "attributes": attributes(&agent.info.attributes),
        "pid": agent.pid(),
        "registered_time": agent.registered.as_secs_f64(),
        "resources": short(&agent.total),
        "used_resources": short(&agent.used),
        "offered_resources": short(&agent.offered),
        "reserved_resources": reserved(&agent.total),
        "unreserved_resources": short(&agent.total.unreserved()),
        "active": agent.is_active(),
        "deactivated": agent.standing.deactivated,
        "version": agent.version,
        "capabilities": capabilities,
    });
    let Value::Object(mut fields) = value else { return Map::new() };
    if let Some(reregistered) = agent.reregistered {
        fields.insert("reregistered_time".to_owned(), json!(reregistered.as_secs_f64()));
    }
    if let Some(drain) = agent.standing.drain {
        fields.insert("drain_info".to_owned(), json!(drain.to_wire()));
        let since = drain.since.as_ms() / 1000;
        fields.insert("estimated_drain_start_time_seconds".to_owned(), json!(since));
    }
    if let Some(domain) = &agent.info.domain {
        fields.insert("domain".to_owned(), json!(domain));
    }
    fields
}

/// The agents that are here or were until a moment ago.
pub(in crate::http) fn present(view: &View) -> impl Iterator<Item = &Agent> {
    let agents = view.agents.values().map(AsRef::as_ref);
    agents.filter(|agent: &&Agent| {
        matches!(agent.presence, Presence::Registered | Presence::Disconnected)
    })
}

/// What every endpoint says of an agent, as JSON, made once until it changes.
pub(in crate::http) fn shown_outline(agent: &Agent) -> &Bytes {
    agent.shown_outline.get_or_make(|| {
        let mut json = Vec::new();
        write(&mut json, &slave(agent));
        json
    })
}

/// With resources as messages, too; made once until the agent changes.
pub(in crate::http) fn shown(agent: &Agent) -> &Bytes {
    agent.shown.get_or_make(|| {
        let mut json = shown_outline(agent).to_vec();
        append(&mut json, &details(agent));
        json
    })
}

/// With resources as messages, too.
fn detailed(agent: &Agent) -> Value {
    let mut fields = slave(agent);
    fields.extend(details(agent));
    Value::Object(fields)
}

fn details(agent: &Agent) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("reserved_resources_full".to_owned(), reserved_full(&agent.total));
    fields.insert("unreserved_resources_full".to_owned(), full(&agent.total.unreserved()));
    fields.insert("used_resources_full".to_owned(), full(&agent.used));
    fields.insert("offered_resources_full".to_owned(), full(&agent.offered));
    fields.insert("resource_providers".to_owned(), json!([]));
    fields
}

#[cfg(test)]
pub(in crate::http) fn all(view: &View) -> Vec<Value> {
    present(view).map(detailed).collect()
}

pub(in crate::http) fn recovered(view: &View) -> Vec<Value> {
    let recovered =
        view.agents.values().filter(|agent| matches!(agent.presence, Presence::Recovered));
    recovered
        .map(|agent| {
            json!({
                "id": agent.id.as_str(),
                "hostname": agent.info.hostname,
                "port": agent.port(),
                "attributes": attributes(&agent.info.attributes),
                "resources": short(&agent.total),
            })
        })
        .collect()
}

pub(in crate::http) fn slaves(view: &View, id: Option<&str>) -> Value {
    let wanted = |agent: &&Agent| id.is_none_or(|id| agent.id.as_str() == id);
    json!({
        "slaves": present(view).filter(wanted).map(detailed).collect::<Vec<_>>(),
        "recovered_slaves": recovered(view),
    })
}
