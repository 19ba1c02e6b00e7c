//! The discovery snapshot: which tasks run where, as names and virtual IPs see
//! them. Kept up to date from what the ledger has touched: of each task only a
//! digest of what readers were told, so that they are told changes only.

mod feed;
mod relay;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use karman_api::karman::discovery::{
    Agent, Discovery, DiscoveryPort, Framework, Master, Message, PortMapping, Task, TaskKey,
};
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::ranges::Ranges;
use serde::Serialize;

use crate::ledger::{self, Presence, Touched, View};

pub(crate) use feed::{Followers, Line};
pub(crate) use relay::Relay;

#[derive(Debug)]
pub(crate) struct Table {
    generation: u64,
    leader: Option<Master>,
    tasks: BTreeMap<(FrameworkId, TaskId), u64>,
    agents: BTreeMap<AgentId, Agent>,
    frameworks: BTreeMap<FrameworkId, Framework>,
}

impl Table {
    pub(crate) fn new(generation: u64, master: &v1::MasterInfo) -> Self {
        let address = master.address.as_ref();
        let ip = address.and_then(|address| address.ip.as_ref()?.parse().ok());
        let leader = ip.map(|ip| Master {
            hostname: master.hostname.clone().unwrap_or_default(),
            ip,
            port: u16::try_from(master.port).unwrap_or_default(),
        });
        Self {
            generation,
            leader,
            tasks: BTreeMap::new(),
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
        }
    }

    /// Everything, for new readers; the view is the one of the last update.
    pub(crate) fn full(&self, view: &Arc<View>) -> Full {
        Full {
            generation: self.generation,
            leader: self.leader.clone(),
            view: Arc::clone(view),
            text: OnceLock::new(),
        }
    }

    /// What has changed, if anything that a reader sees did.
    pub(crate) fn update(&mut self, view: &View, touched: &Touched) -> Option<Message> {
        let mut delta = Message::default();
        for (framework, id) in &touched.tasks {
            let now = view
                .frameworks
                .get(framework)
                .and_then(|owner| owner.tasks.get(id))
                .and_then(|it| task(it, view.agents.get(&it.agent).map(|agent| agent.ip)));
            self.merge_task((framework, id), now, &mut delta);
        }
        for id in &touched.agents {
            let now = view.agents.get(id).and_then(|it| agent(it));
            let (changed, removed) = (&mut delta.agents, &mut delta.removed_agents);
            merge(&mut self.agents, id.clone(), now, changed, removed, AgentId::to_string);
        }
        for id in &touched.frameworks {
            let now = view.frameworks.get(id).map(|it| framework(it));
            let (changed, removed) = (&mut delta.frameworks, &mut delta.removed_frameworks);
            merge(&mut self.frameworks, id.clone(), now, changed, removed, FrameworkId::to_string);
        }
        if delta == Message::default() {
            return None;
        }
        self.generation += 1;
        Some(Message { generation: self.generation, ..delta })
    }

    fn merge_task(
        &mut self,
        (framework, id): (&FrameworkId, &TaskId),
        now: Option<Task>,
        delta: &mut Message,
    ) {
        let key = (framework.clone(), id.clone());
        match now {
            Some(task) => {
                let digest = digest(&task);
                if self.tasks.insert(key, digest) != Some(digest) {
                    delta.tasks.push(task);
                }
            }
            None if self.tasks.remove(&key).is_some() => {
                let (framework_id, id) = (framework.to_string(), id.to_string());
                delta.removed_tasks.push(TaskKey { framework_id, id });
            }
            None => {}
        }
    }
}

/// Two different tasks of one id have the same once in 10^19 changes.
fn digest(task: &Task) -> u64 {
    let mut hasher = DefaultHasher::new();
    task.hash(&mut hasher);
    hasher.finish()
}

/// A whole snapshot, put into words by the first reader that needs it.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) generation: u64,
    leader: Option<Master>,
    view: Arc<View>,
    text: OnceLock<Bytes>,
}

impl Full {
    /// As a line of the stream. Takes long where there are many tasks.
    pub(crate) fn text(&self) -> Bytes {
        self.text.get_or_init(|| self.write().into()).clone()
    }

    /// Entry by entry: all of them at once would take several times the room.
    fn write(&self) -> Vec<u8> {
        let Self { generation, leader, view, text: _ } = self;
        let head = Message {
            generation: *generation,
            full: true,
            leader: leader.clone(),
            agents: view.agents.values().filter_map(|it| agent(it)).collect(),
            frameworks: view.frameworks.values().map(|it| framework(it)).collect(),
            ..Message::default()
        };
        let mut text = json(&head);
        text.pop();
        text.extend_from_slice(br#","tasks":["#);
        let begin = text.len();
        let ip = |id: &AgentId| view.agents.get(id).map(|agent| agent.ip);
        let tasks = view.frameworks.values().flat_map(|owner| owner.tasks.values());
        for task in tasks.filter_map(|it| task(it, ip(&it.agent))) {
            if text.len() > begin {
                text.push(b',');
            }
            text.extend_from_slice(&json(&task));
        }
        text.extend_from_slice(b"]}\n");
        text
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("discovery messages always have a JSON form")
}

/// A line of the stream.
pub(crate) fn line(message: &Message) -> Bytes {
    let mut text = json(message);
    text.push(b'\n');
    text.into()
}

fn merge<K: Ord, V: Clone + PartialEq, N>(
    known: &mut BTreeMap<K, V>,
    key: K,
    now: Option<V>,
    changed: &mut Vec<V>,
    removed: &mut Vec<N>,
    name: impl Fn(&K) -> N,
) {
    match now {
        Some(value) if known.get(&key) == Some(&value) => {}
        Some(value) => {
            changed.push(value.clone());
            known.insert(key, value);
        }
        None => {
            if known.remove(&key).is_some() {
                removed.push(name(&key));
            }
        }
    }
}

fn agent(agent: &ledger::Agent) -> Option<Agent> {
    // Of a recovered agent the address is known but no task is.
    if matches!(agent.presence, Presence::Unreachable { .. } | Presence::Recovered) {
        return None;
    }
    Some(Agent {
        id: agent.id.to_string(),
        hostname: agent.info.hostname.clone(),
        ip: agent.ip,
        port: agent.port(),
    })
}

fn framework(framework: &ledger::Framework) -> Framework {
    Framework {
        id: framework.id.to_string(),
        name: framework.info.name.clone(),
        webui_url: framework.info.webui_url.clone().filter(|url| !url.is_empty()),
    }
}

/// On the host's network a container has the address of its agent, which is not
/// its own.
fn task(task: &ledger::Task, host: Option<IpAddr>) -> Option<Task> {
    let killing = match task.state {
        TaskState::TaskRunning => false,
        TaskState::TaskKilling => true,
        _not_running => return None,
    };
    let info = task.info();
    let latest = task.told();
    let latest = latest.as_ref();
    let container = latest.and_then(|status| status.container_status.as_ref());
    let addresses = container
        .into_iter()
        .flat_map(|status| &status.network_infos)
        .flat_map(|it| &it.ip_addresses);
    Some(Task {
        id: task.id.to_string(),
        name: info.name,
        framework_id: task.framework.to_string(),
        agent_id: task.agent.to_string(),
        killing,
        healthy: latest.and_then(|status| status.healthy),
        has_health_check: info.health_check.is_some(),
        container_ips: addresses
            .filter_map(|address| address.ip_address.as_ref()?.parse::<IpAddr>().ok())
            .filter(|ip| Some(*ip) != host)
            .collect(),
        host_ports: host_ports(&task.resources.ranges("ports")),
        port_mappings: port_mappings(info.container.as_deref()),
        discovery: info.discovery.as_deref().map(discovery),
        labels: labels(info.labels.as_ref()),
    })
}

fn host_ports(ports: &Ranges) -> Vec<u16> {
    // There are ranges that end far beyond the last port.
    let port = |number| u16::try_from(number).ok();
    let ports = ports.iter().filter_map(|range| Some((port(range.begin)?, range.end)));
    ports.flat_map(|(begin, end)| begin..=port(end).unwrap_or(u16::MAX)).collect()
}

fn port_mappings(container: Option<&v1::ContainerInfo>) -> Vec<PortMapping> {
    let mapping = |host: u32, inner: u32, protocol: Option<&String>| {
        Some(PortMapping {
            host_port: u16::try_from(host).ok()?,
            container_port: u16::try_from(inner).ok()?,
            protocol: protocol.map_or_else(|| "tcp".to_owned(), Clone::clone),
        })
    };
    let Some(container) = container else { return Vec::new() };
    let docker = container.docker.iter().flat_map(|docker| &docker.port_mappings);
    let networks = container.network_infos.iter().flat_map(|network| &network.port_mappings);
    docker
        .filter_map(|it| mapping(it.host_port, it.container_port, it.protocol.as_ref()))
        .chain(
            networks
                .filter_map(|it| mapping(it.host_port, it.container_port, it.protocol.as_ref())),
        )
        .collect()
}

fn discovery(info: &v1::DiscoveryInfo) -> Discovery {
    let ports = info.ports.iter().flat_map(|ports| &ports.ports);
    Discovery {
        name: info.name.clone(),
        ports: ports
            .filter_map(|port| {
                Some(DiscoveryPort {
                    number: u16::try_from(port.number).ok()?,
                    name: port.name.clone(),
                    protocol: port.protocol.clone(),
                    labels: labels(port.labels.as_ref()),
                })
            })
            .collect(),
    }
}

fn labels(labels: Option<&v1::Labels>) -> BTreeMap<String, String> {
    let labels = labels.into_iter().flat_map(|labels| &labels.labels);
    labels.map(|label| (label.key.clone(), label.value.clone().unwrap_or_default())).collect()
}
