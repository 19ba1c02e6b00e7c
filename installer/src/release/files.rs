//! The configuration files that the installer writes. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use crate::config::{Resolver, Tuning};
use crate::plan::{Role, Store};

const HEAD: &str = "# Written by karman-installer; the next deploy replaces it.\n";
/// An election takes the longer the later a dead leader is noticed. Machines of
/// one cluster are a millisecond apart, etcd's own defaults are for continents.
const ETCD_HEARTBEAT_MS: u32 = 50;
const ETCD_ELECTION_MS: u32 = 500;
/// History serves watches that were cut; they list again when it is gone.
const ETCD_REVISIONS_KEPT: u32 = 100_000;
/// The largest database that etcd's authors recommend.
const ETCD_QUOTA_BYTES: u64 = 8 << 30;
/// A transaction of the masters has many changes; etcd's own limit is for one.
const ETCD_REQUEST_BYTES_MAX: u32 = 10 << 20;

/// What all machines of a cluster know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFile<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub masters: &'a [IpAddr],
    pub store: Store,
    pub resolvers: &'a [Resolver],
    pub user: &'a str,
    pub password_hash: &'a str,
}

/// What only one machine knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile<'a> {
    pub address: IpAddr,
    pub role: Role,
    pub tuning: &'a Tuning,
    /// Whom the machine asked for names before it was ours.
    pub resolvers: &'a [String],
}

/// `karman.yaml`.
pub fn cluster_yaml(file: &ClusterFile<'_>) -> String {
    let ClusterFile { id, name, masters, store, resolvers, user, password_hash } = file;
    let mut value = serde_json::json!({
        "cluster_name": name,
        "cluster": { "id": id, "masters": masters, "store": store },
        "master": { "credentials": "/etc/karman/credentials" },
        "auth": { "local": true, "user": user, "password_hash": password_hash },
        "log": { "level": "info" },
    });
    if !resolvers.is_empty() {
        let upstreams: Vec<String> = resolvers.iter().map(upstream).collect();
        value["dns"] = serde_json::json!({ "upstreams": upstreams });
    }
    yaml(&value)
}

fn upstream(resolver: &Resolver) -> String {
    let Resolver { address, port } = resolver;
    std::net::SocketAddr::new(*address, *port).to_string()
}

/// `node.yaml`.
pub fn node_yaml(file: &NodeFile<'_>) -> String {
    let NodeFile { address, role, tuning, resolvers } = file;
    let mut value = serde_json::json!({ "address": address, "role": role.name() });
    let Tuning { resources, attributes, fault_domain } = tuning;
    let optional =
        [("resources", resources), ("attributes", attributes), ("fault_domain", fault_domain)];
    for (key, text) in optional {
        if let Some(text) = text {
            value[key] = text.as_str().into();
        }
    }
    if !resolvers.is_empty() {
        value["resolvers"] = serde_json::json!(resolvers);
    }
    yaml(&value)
}

/// `etcd.yaml` of the master at an address.
pub fn etcd_yaml(cluster: &str, address: IpAddr, masters: &[IpAddr]) -> String {
    let url = |address: IpAddr, port: u16| {
        format!("https://{}", std::net::SocketAddr::new(address, port))
    };
    let members: Vec<String> =
        masters.iter().map(|master| format!("{master}={}", url(*master, 2380))).collect();
    let tls = "/etc/karman/tls/store";
    let security = |name: &str| {
        serde_json::json!({
            "cert-file": format!("{tls}/{name}.pem"),
            "key-file": format!("{tls}/{name}.key"),
            "client-cert-auth": true,
            "trusted-ca-file": format!("{tls}/ca.pem"),
        })
    };
    yaml(&serde_json::json!({
        "name": address.to_string(),
        "data-dir": "/var/lib/karman/etcd",
        "listen-peer-urls": url(address, 2380),
        "listen-client-urls": format!("{},https://127.0.0.1:2379", url(address, 2379)),
        "initial-advertise-peer-urls": url(address, 2380),
        "advertise-client-urls": url(address, 2379),
        "initial-cluster": members.join(","),
        "initial-cluster-token": cluster,
        "initial-cluster-state": "new",
        "strict-reconfig-check": true,
        "pre-vote": true,
        "heartbeat-interval": ETCD_HEARTBEAT_MS,
        "election-timeout": ETCD_ELECTION_MS,
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": ETCD_REVISIONS_KEPT.to_string(),
        "quota-backend-bytes": ETCD_QUOTA_BYTES,
        "max-request-bytes": ETCD_REQUEST_BYTES_MAX,
        "logger": "zap",
        "log-outputs": ["stderr"],
        "log-level": "warn",
        "client-transport-security": security("server"),
        "peer-transport-security": security("peer"),
    }))
}

fn yaml(value: &serde_json::Value) -> String {
    let text =
        yaml_serde::to_string(value).expect("text, numbers and lists can be written as YAML");
    format!("{HEAD}{text}")
}
