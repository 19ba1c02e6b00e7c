//! The table of virtual IPs of a snapshot. Pure.
//!
//! The table is the same on every node: it depends on nothing but the snapshot.
//! What only the node of a backend may do, go to the container itself, is told
//! by [`Backend::container`].
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use karman_api::karman::discovery::{Agent, DiscoveryPort, Message, Task};
use karman_api::karman::label;

mod address;
mod parse;

pub use address::{Ranges, phash2};
pub use parse::{Mistake, Protocol, Target, Wanted};

/// A service with a name: `web.marathon`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub label: String,
    pub framework: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.label, self.framework)
    }
}

/// Where a virtual IP is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    pub address: SocketAddr,
    /// The container itself where `address` is a port mapped to it; its own
    /// agent goes there, because a mapping does not work from within.
    pub container: Option<SocketAddr>,
    pub agent_id: String,
    /// False for a task that is unhealthy or about to end: it keeps its
    /// connections and gets no new ones.
    pub accepts: bool,
}

/// One virtual IP. It has at least one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// None where the label gave an address.
    pub name: Option<Name>,
    pub backends: BTreeSet<Backend>,
}

/// A label that has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ignored {
    pub framework_id: String,
    pub task_id: String,
    pub label: String,
    pub mistake: Mistake,
}

/// All virtual IPs, the addresses of the named ones, and what was ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub generation: u64,
    pub vips: BTreeMap<Key, Vip>,
    pub names: BTreeMap<Name, BTreeSet<IpAddr>>,
    pub ignored: BTreeSet<Ignored>,
}

/// A backend before the address of its virtual IP is known.
#[derive(Debug)]
struct Offer {
    wanted: Wanted,
    backend: Backend,
}

/// The table of a snapshot, which is a full message of the discovery stream.
pub fn table(snapshot: &Message, ranges: &Ranges) -> Table {
    let mut table = Table { generation: snapshot.generation, ..Table::default() };
    let agents: BTreeMap<&str, &Agent> =
        snapshot.agents.iter().map(|agent| (agent.id.as_str(), agent)).collect();
    let frameworks: BTreeMap<&str, String> = snapshot
        .frameworks
        .iter()
        .map(|framework| (framework.id.as_str(), label::fragment(&framework.name)))
        .collect();
    let mut offers = Vec::new();
    for task in &snapshot.tasks {
        let agent = agents.get(task.agent_id.as_str());
        let framework = frameworks.get(task.framework_id.as_str());
        if let (Some(agent), Some(framework)) = (agent, framework) {
            collect(task, agent, framework, &mut offers, &mut table.ignored);
        }
    }
    place(offers, ranges, &mut table);
    table
}

/// Everything that the labels of one task ask for.
fn collect(
    task: &Task,
    agent: &Agent,
    framework: &str,
    offers: &mut Vec<Offer>,
    ignored: &mut BTreeSet<Ignored>,
) {
    let mut ignore = |label: &str, mistake| {
        let (framework_id, task_id) = (task.framework_id.clone(), task.id.clone());
        ignored.insert(Ignored { framework_id, task_id, label: label.to_owned(), mistake });
    };
    for port in task.discovery.iter().flat_map(|discovery| &discovery.ports) {
        for (key, value) in port.labels.iter().filter(|(key, _)| parse::is_vip(key)) {
            let wanted = parse::of_port(value, port.protocol.as_deref(), framework);
            let offered = wanted.and_then(|wanted| {
                let offers = wanted.into_iter().map(|wanted| {
                    let backends = of_discovery(task, agent, port, wanted.protocol);
                    offer(wanted, backends)
                });
                offers.collect::<Result<Vec<_>, _>>()
            });
            match offered {
                Ok(all) => offers.extend(all.into_iter().flatten()),
                Err(mistake) => ignore(key, mistake),
            }
        }
    }
    for (key, value) in &task.labels {
        let Some(index) = parse::port_index(key) else { continue };
        let offered = parse::of_task(value, framework).and_then(|wanted| {
            let ports = task.host_ports.len();
            let port = task.host_ports.get(index).ok_or(Mistake::NoSuchPort { index, ports })?;
            let backend = of_host(task, agent, *port, wanted.protocol);
            offer(wanted, vec![backend])
        });
        match offered {
            Ok(all) => offers.extend(all),
            Err(mistake) => ignore(key, mistake),
        }
    }
}

/// Pairs a virtual IP with those backends that it can lead to: an address leads
/// to its own family only.
fn offer(wanted: Wanted, backends: Vec<Backend>) -> Result<Vec<Offer>, Mistake> {
    let usable = backends.into_iter().filter(|backend| match &wanted.target {
        Target::Name(_) => true,
        Target::Address(address) => address.is_ipv4() == backend.address.is_ipv4(),
    });
    let offers: Vec<Offer> =
        usable.map(|backend| Offer { wanted: wanted.clone(), backend }).collect();
    match &wanted.target {
        Target::Address(address) if offers.is_empty() => Err(Mistake::Family { address: *address }),
        Target::Address(_) | Target::Name(_) => Ok(offers),
    }
}

/// The backends of a port that the task describes: a port of the agent, or one
/// of the container that is mapped to the agent or reached at its own addresses.
fn of_discovery(
    task: &Task,
    agent: &Agent,
    port: &DiscoveryPort,
    protocol: Protocol,
) -> Vec<Backend> {
    if port.labels.get("network-scope").is_some_and(|scope| scope == "host") {
        return vec![of_host(task, agent, port.number, protocol)];
    }
    let mapped = task.port_mappings.iter().find(|mapping| {
        mapping.container_port == port.number
            && Protocol::parse(&mapping.protocol) == Some(protocol)
    });
    if let Some(mapped) = mapped {
        return vec![of_host(task, agent, mapped.host_port, protocol)];
    }
    let own = if task.container_ips.is_empty() {
        std::slice::from_ref(&agent.ip)
    } else {
        &task.container_ips
    };
    own.iter().map(|ip| backend(task, SocketAddr::new(*ip, port.number), None)).collect()
}

/// A port of the agent, perhaps mapped to the container.
fn of_host(task: &Task, agent: &Agent, host_port: u16, protocol: Protocol) -> Backend {
    let mapped = task.port_mappings.iter().find(|mapping| {
        mapping.host_port == host_port && Protocol::parse(&mapping.protocol) == Some(protocol)
    });
    let same_family = task.container_ips.iter().find(|ip| ip.is_ipv4() == agent.ip.is_ipv4());
    let container =
        mapped.zip(same_family).map(|(mapping, ip)| SocketAddr::new(*ip, mapping.container_port));
    backend(task, SocketAddr::new(agent.ip, host_port), container)
}

fn backend(task: &Task, address: SocketAddr, container: Option<SocketAddr>) -> Backend {
    let healthy = !task.has_health_check || task.healthy == Some(true);
    Backend {
        address,
        container,
        agent_id: task.agent_id.clone(),
        accepts: healthy && !task.killing,
    }
}

/// Gives names their addresses and puts every backend into its place. A named
/// virtual IP has an address of each family that its backends have.
fn place(offers: Vec<Offer>, ranges: &Ranges, table: &mut Table) {
    let family = |offer: &Offer| offer.backend.address.is_ipv4();
    let names = |v4: bool| -> BTreeSet<Name> {
        let offers = offers.iter().filter(|offer| family(offer) == v4);
        offers.filter_map(|offer| offer.wanted.target.name().cloned()).collect()
    };
    let (v4, v6) = (ranges.assign_v4(&names(true)), ranges.assign_v6(&names(false)));
    for (name, address) in v4
        .iter()
        .map(|(n, a)| (n, IpAddr::V4(*a)))
        .chain(v6.iter().map(|(n, a)| (n, IpAddr::V6(*a))))
    {
        table.names.entry(name.clone()).or_default().insert(address);
    }
    for Offer { wanted: Wanted { protocol, target, port }, backend } in offers {
        let is_v4 = backend.address.is_ipv4();
        let (address, name) = match target {
            Target::Address(address) => (Some(address), None),
            Target::Name(name) if is_v4 => (v4.get(&name).copied().map(IpAddr::V4), Some(name)),
            Target::Name(name) => (v6.get(&name).copied().map(IpAddr::V6), Some(name)),
        };
        let Some(address) = address else { continue };
        let vip = table
            .vips
            .entry(Key { protocol, address: SocketAddr::new(address, port) })
            .or_default();
        vip.name = vip.name.take().or(name);
        vip.backends.insert(backend);
    }
}

#[cfg(test)]
mod tests;
