//! The HTTP API of Mesos-DNS.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use crate::zone::{Found, Records, TTL_SECONDS, Zone};
use crate::{Current, CurrentReceiver};

/// What the API says about this server.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) version: &'static str,
    pub(crate) domain: String,
    pub(crate) address: SocketAddr,
    pub(crate) masters: Vec<String>,
}

#[derive(Clone)]
struct Api {
    current: CurrentReceiver,
    about: Arc<About>,
}

impl Api {
    fn current(&self) -> Result<Arc<Current>, StatusCode> {
        self.current.borrow().clone().ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
}

pub(crate) fn router(current: CurrentReceiver, about: About) -> Router {
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/config", get(config))
        .route("/v1/hosts/{host}", get(hosts))
        .route("/v1/hosts/{host}/ports", get(|| async { StatusCode::NOT_IMPLEMENTED }))
        .route("/v1/services/{service}", get(services))
        .route("/v1/enumerate", get(enumerate))
        .route("/v1/axfr", get(axfr))
        .with_state(Api { current, about: Arc::new(about) })
}

async fn version(State(api): State<Api>) -> Json<Value> {
    Json(json!({
        "Service": "Mesos-DNS",
        "Version": api.about.version,
        "URL": "https://github.com/mesosphere/mesos-dns",
    }))
}

/// The keys that clients read; those about polling have no counterpart here.
async fn config(State(api): State<Api>) -> Json<Value> {
    let About { version: _, domain, address, masters } = api.about.as_ref();
    Json(json!({
        "RefreshSeconds": 0,
        "TTL": TTL_SECONDS,
        "Port": address.port(),
        "Listener": address.ip().to_string(),
        "Domain": domain,
        "Masters": masters,
        "SOAMname": format!("ns1.{domain}."),
        "SOARname": format!("root.ns1.{domain}."),
        "DNSOn": true,
        "HTTPOn": true,
        "ExternalOn": true,
        "EnumerationOn": true,
        "IPSources": ["host", "netinfo"],
    }))
}

#[derive(Debug, Default, Serialize)]
struct Host {
    host: String,
    ip: String,
}

async fn hosts(
    State(api): State<Api>,
    Path(host): Path<String>,
) -> Result<Json<Vec<Host>>, StatusCode> {
    let current = api.current()?;
    let name = normal(&host);
    let record = |ip| Host { host: format!("{name}."), ip };
    let found: Vec<Host> = addresses(&current.zone, &name).into_iter().map(record).collect();
    Ok(Json(or_empty(found)))
}

#[derive(Debug, Default, Serialize)]
struct Service {
    service: String,
    host: String,
    ip: String,
    /// A number, but Mesos-DNS writes it as text.
    port: String,
}

async fn services(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Json<Vec<Service>>, StatusCode> {
    let current = api.current()?;
    let name = normal(&service);
    let mut found = Vec::new();
    if let Found::Records { records, .. } = current.zone.find(&name) {
        for srv in &records.srv {
            let ip = addresses(&current.zone, &srv.target).into_iter().next().unwrap_or_default();
            let host = format!("{}.", srv.target);
            found.push(Service { service: service.clone(), host, ip, port: srv.port.to_string() });
        }
    }
    Ok(Json(or_empty(found)))
}

/// Clients of Mesos-DNS expect one element of empty texts where nothing is found.
fn or_empty<T: Default>(found: Vec<T>) -> Vec<T> {
    if found.is_empty() { vec![T::default()] } else { found }
}

fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn addresses(zone: &Zone, name: &str) -> Vec<String> {
    let Found::Records { records: Records { a, aaaa, srv: _ }, .. } = zone.find(name) else {
        return Vec::new();
    };
    a.iter().map(ToString::to_string).chain(aaaa.iter().map(ToString::to_string)).collect()
}

async fn enumerate(State(api): State<Api>) -> Result<Json<Value>, StatusCode> {
    let current = api.current()?;
    let mut frameworks = std::collections::BTreeMap::<&str, Vec<Value>>::new();
    for task in &current.zone.tasks {
        let record = |(name, host, rtype): &(String, String, &str)| {
            let host = if *rtype == "SRV" { absolute(host) } else { host.clone() };
            json!({ "name": format!("{name}."), "host": host, "rtype": rtype })
        };
        let records: Vec<Value> = task.records.iter().map(record).collect();
        let listed = json!({ "name": task.name, "id": task.id, "records": records });
        frameworks.entry(&task.framework).or_default().push(listed);
    }
    let frameworks =
        frameworks.into_iter().map(|(name, tasks)| json!({ "name": name, "tasks": tasks }));
    Ok(Json(json!({ "frameworks": frameworks.collect::<Vec<_>>() })))
}

async fn axfr(State(api): State<Api>) -> Result<Json<Value>, StatusCode> {
    let current = api.current()?;
    let Zone { generation, domain, names, .. } = &current.zone;
    let (mut a, mut aaaa, mut srvs) =
        (serde_json::Map::new(), serde_json::Map::new(), serde_json::Map::new());
    let suffix = format!(".{domain}");
    for (name, records) in names.iter().filter(|(name, _)| name.ends_with(&suffix)) {
        let name = format!("{name}.");
        if !records.a.is_empty() {
            a.insert(name.clone(), json!(records.a));
        }
        if !records.aaaa.is_empty() {
            aaaa.insert(name.clone(), json!(records.aaaa));
        }
        if !records.srv.is_empty() {
            let targets = records.srv.iter().map(|srv| format!("{}.:{}", srv.target, srv.port));
            srvs.insert(name, targets.collect());
        }
    }
    Ok(Json(json!({
        "TTL": TTL_SECONDS,
        "Serial": generation,
        "RefreshSeconds": 0,
        "Mname": format!("ns1.{domain}."),
        "Rname": format!("root.ns1.{domain}."),
        "Domain": domain,
        "Records": { "As": a, "AAAAs": aaaa, "SRVs": srvs },
    })))
}

/// `host:port` with the last dot of the host.
fn absolute(target: &str) -> String {
    target
        .split_once(':')
        .map_or_else(|| target.to_owned(), |(host, port)| format!("{host}.:{port}"))
}
