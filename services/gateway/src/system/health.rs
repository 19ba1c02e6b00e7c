//! `/system/health/v1`: whether each role answers, in the form of
//! dcos-diagnostics. Every answer is made from probes sent for it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::Response;
use futures::future::join_all;
use http::{Method, StatusCode};
use karman_dashboard::wire::mesos::Slave;
use karman_rt::chain;
use serde_json::{Value, json};

use crate::answer;
use crate::front::Front;
use crate::route::Role;

/// Who does not answer within this time is not healthy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Agents are asked in groups of this size.
const PROBES_AT_A_TIME: usize = 64;

const HEALTHY: u8 = 0;
const UNHEALTHY: u8 = 1;

/// One role on one node.
#[derive(Clone, Debug)]
struct Unit {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    host: String,
    /// `master` or `agent`.
    role: &'static str,
    health: u8,
    /// What the probe found, if not health.
    output: String,
}

struct Kind {
    role: Role,
    id: &'static str,
    name: &'static str,
    description: &'static str,
    probe: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        role: Role::Master,
        id: "karman-master.service",
        name: "Master",
        description: "shares out the resources of the cluster",
        probe: "/health",
    },
    Kind {
        role: Role::Marathon,
        id: "karman-orchestrator.service",
        name: "Orchestrator",
        description: "keeps services running",
        probe: "/ping",
    },
    Kind {
        role: Role::Catalog,
        id: "karman-catalog.service",
        name: "Catalog",
        description: "turns packages into services",
        probe: "/capabilities",
    },
    Kind {
        role: Role::Dns,
        id: "karman-net.service",
        name: "Names",
        description: "answers the names of tasks",
        probe: "/v1/version",
    },
];

pub(crate) async fn answer(front: &Front, rest: &str) -> Response {
    let units = probe_all(front).await;
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let value = match parts.as_slice() {
        [] => Some(node(front, &units)),
        ["report"] => Some(report(&units)),
        ["units"] => Some(json!({ "units": summary(&units) })),
        ["units", id] => {
            summary(&units).into_iter().find(|unit| unit.get("id") == Some(&json!(id)))
        }
        ["units", id, "nodes"] => {
            Some(json!({ "nodes": nodes(units.iter().filter(|unit| unit.id == *id)) }))
        }
        ["units", id, "nodes", host] => {
            units.iter().find(|unit| unit.id == *id && unit.host == *host).map(on_node)
        }
        ["nodes"] => Some(json!({ "nodes": nodes(units.iter()) })),
        ["nodes", host] => nodes(units.iter().filter(|unit| unit.host == *host)).into_iter().next(),
        ["nodes", host, "units"] => {
            let found: Vec<Value> =
                units.iter().filter(|unit| unit.host == *host).map(full).collect();
            (!found.is_empty()).then(|| json!({ "units": found }))
        }
        ["nodes", host, "units", id] => {
            units.iter().find(|unit| unit.id == *id && unit.host == *host).map(on_node)
        }
        _ => None,
    };
    match value {
        Some(value) => answer::json(StatusCode::OK, &value),
        None => answer::error(StatusCode::NOT_FOUND, "ERR_NO_UNIT", "no such unit or node", false),
    }
}

async fn probe_all(front: &Front) -> Vec<Unit> {
    let here = front.about.ip.clone();
    let mut units: Vec<Unit> = join_all(KINDS.iter().map(|kind| {
        let host = here.clone();
        async move {
            let Kind { role, id, name, description, probe } = *kind;
            let output = ask(front, &format!("{}{probe}", front.urls.of(role))).await;
            unit(Unit { id, name, description, host, role: "master", health: HEALTHY, output })
        }
    }))
    .await;
    units.push(Unit {
        id: "karman-gateway.service",
        name: "Gateway",
        description: "lets users in and shows the dashboard",
        host: here,
        role: "master",
        health: HEALTHY,
        output: String::new(),
    });
    // Without a master there is nobody to ask for agents; its own unit says so.
    let Ok(agents) = front.cluster.agents().await else { return units };
    for group in agents.chunks(PROBES_AT_A_TIME) {
        units.extend(join_all(group.iter().map(|agent| probe_agent(front, agent))).await);
    }
    units
}

async fn probe_agent(front: &Front, agent: &Slave) -> Unit {
    let output = match agent.url(front.cluster.upstream.scheme()) {
        Some(url) => ask(front, &format!("{url}/health")).await,
        None => "the agent has no address".to_owned(),
    };
    unit(Unit {
        id: "karman-agent.service",
        name: "Agent",
        description: "runs containers on one machine",
        host: agent.ip().unwrap_or(&agent.hostname).to_owned(),
        role: "agent",
        health: HEALTHY,
        output,
    })
}

fn unit(unit: Unit) -> Unit {
    let health = if unit.output.is_empty() { HEALTHY } else { UNHEALTHY };
    Unit { health, ..unit }
}

/// What is wrong with an endpoint; empty if nothing is.
async fn ask(front: &Front, url: &str) -> String {
    let probe = front.cluster.upstream.send(Method::GET, url, None);
    match tokio::time::timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(reply)) if !reply.status.is_server_error() => String::new(),
        Ok(Ok(reply)) => format!("{url} answered {}", reply.status),
        Ok(Err(error)) => chain(&error),
        Err(_elapsed) => format!("{url} did not answer in {} seconds", PROBE_TIMEOUT.as_secs()),
    }
}

fn full(unit: &Unit) -> Value {
    let Unit { id, name, description, health, output, .. } = unit;
    json!({ "id": id, "name": name, "health": health, "output": output, "description": description, "help": "" })
}

fn on_node(unit: &Unit) -> Value {
    let Unit { host, role, health, output, .. } = unit;
    json!({ "host_ip": host, "role": role, "health": health, "output": output, "help": "" })
}

/// Each kind of unit once, as healthy as its least healthy one.
fn summary(units: &[Unit]) -> Vec<Value> {
    let mut kinds: BTreeMap<&str, (&Unit, u8)> = BTreeMap::new();
    for unit in units {
        let (_, health) = kinds.entry(unit.id).or_insert((unit, HEALTHY));
        *health = (*health).max(unit.health);
    }
    let shown = |(unit, health): (&Unit, u8)| {
        let Unit { id, name, description, .. } = unit;
        json!({ "id": id, "name": name, "health": health, "description": description })
    };
    kinds.into_values().map(shown).collect()
}

/// Each node once, as healthy as its least healthy unit; masters first.
fn nodes<'a>(units: impl Iterator<Item = &'a Unit>) -> Vec<Value> {
    let mut hosts: BTreeMap<&str, (&str, u8)> = BTreeMap::new();
    for unit in units {
        let (role, health) = hosts.entry(&unit.host).or_insert((unit.role, HEALTHY));
        if unit.role == "master" {
            *role = "master";
        }
        *health = (*health).max(unit.health);
    }
    let shown = |(host, (role, health))| json!({ "host_ip": host, "role": role, "health": health });
    hosts.into_iter().map(shown).collect()
}

fn node(front: &Front, units: &[Unit]) -> Value {
    json!({
        "units": units.iter().map(full).collect::<Vec<_>>(),
        "hostname": front.about.ip,
        "ip": front.about.ip,
        "dcos_version": front.about.version,
        "node_role": "master",
        "mesos_id": "",
        "dcos_diagnostics_version": front.about.version,
    })
}

fn report(units: &[Unit]) -> Value {
    let by_id: BTreeMap<&str, Value> = units.iter().map(|unit| (unit.id, full(unit))).collect();
    let by_host: BTreeMap<&str, Vec<Value>> =
        units.iter().fold(BTreeMap::new(), |mut hosts, unit| {
            hosts.entry(unit.host.as_str()).or_insert_with(Vec::new).push(full(unit));
            hosts
        });
    json!({ "Units": by_id, "Nodes": by_host })
}
