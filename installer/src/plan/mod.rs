//! What belongs on which machine. Pure.
//!
//! The plan makes every choice: who carries it out decides nothing more.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Resolver};

/// Where agents find the masters.
const SESSION_PORT: u16 = 5049;

/// The whole cluster, masters first: the others need them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub cluster_name: String,
    pub store: Store,
    pub nodes: Vec<Node>,
}

/// What keeps the state of the masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// A file of the only master.
    Embedded,
    /// On each of several masters.
    Etcd,
}

/// What a machine is for. Its names are those of `node.yaml`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Master,
    Agent,
    PublicAgent,
}

impl Role {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Agent => "agent",
            Self::PublicAgent => "public-agent",
        }
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    pub address: IpAddr,
    pub role: Role,
    /// The services that run on it, in the order of their start.
    pub units: Vec<&'static str>,
    /// The masters that its agent connects to; empty on masters.
    pub masters: Vec<SocketAddr>,
    /// Name servers for foreign names; those of the machine where empty.
    pub resolvers: Vec<Resolver>,
}

/// The plan of a configuration.
pub fn plan(config: &Config) -> Plan {
    let Config { cluster_name, master_list, agent_list, public_agent_list, resolvers, .. } = config;
    let store = if master_list.len() > 1 { Store::Etcd } else { Store::Embedded };
    let lists = [
        (Role::Master, master_list),
        (Role::Agent, agent_list),
        (Role::PublicAgent, public_agent_list),
    ];
    let nodes =
        lists.into_iter().flat_map(|(role, list)| list.iter().map(move |address| (role, *address)));
    let nodes = nodes.map(|(role, address)| Node {
        address,
        role,
        units: units(role, store),
        masters: match role {
            Role::Master => Vec::new(),
            Role::Agent | Role::PublicAgent => {
                master_list.iter().map(|master| SocketAddr::new(*master, SESSION_PORT)).collect()
            }
        },
        resolvers: resolvers.clone(),
    });
    Plan { cluster_name: cluster_name.clone(), store, nodes: nodes.collect() }
}

/// The units of a role, in the order of their start.
pub fn units(role: Role, store: Store) -> Vec<&'static str> {
    match (role, store) {
        (Role::Master, Store::Etcd) => {
            vec![
                "karman-etcd",
                "karman-master",
                "karman-orchestrator",
                "karman-catalog",
                "karman-net",
                "karman-gateway",
            ]
        }
        (Role::Master, Store::Embedded) => {
            vec![
                "karman-master",
                "karman-orchestrator",
                "karman-catalog",
                "karman-net",
                "karman-gateway",
            ]
        }
        (Role::Agent | Role::PublicAgent, _) => {
            vec!["karman-net", "karman-agent"]
        }
    }
}

#[cfg(test)]
mod tests;
