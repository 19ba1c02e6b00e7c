//! The names of tasks. Pure.
//!
//! | name | leads to |
//! |---|---|
//! | `web.marathon.mesos` and one canonical name per task | the agent |
//! | the same under `slave.mesos` | the agent |
//! | `_web._tcp.marathon.mesos` | the ports of the task |
//! | `_http._web._tcp.marathon.mesos` | one named port |
//! | `web.marathon.agentip.dcos.thisdcos.directory` | the agent |
//! | `….containerip.…` | the container, or the agent on the host's network |
//! | `….autoip.…` | the agent where a port is mapped to it, else the container |
//!
//! Below `mesos` a task is found at its agent: of the sources of addresses that
//! DC/OS configures, `host` and then `netinfo`, the first always has one.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use karman_api::karman::discovery::{Agent, Discovery, Snapshot, Task};

use super::{Builder, DIRECTORY, Settings, TaskNames, label};

const PROTOCOLS: &[&str] = &["tcp", "udp"];

pub(super) fn add(
    builder: &mut Builder,
    snapshot: &Snapshot,
    settings: &Settings,
) -> Vec<TaskNames> {
    let mut listed = Vec::new();
    for task in snapshot.tasks.values().filter(|task| !task.killing) {
        let Some(agent) = snapshot.agents.get(&task.agent_id) else { continue };
        let Some(framework) = snapshot.frameworks.get(&task.framework_id) else { continue };
        let mut names = Names {
            builder: &mut *builder,
            domain: &settings.domain,
            framework: label::fragment(&framework.name),
            task,
            agent,
            records: Vec::new(),
        };
        names.add();
        let records = names.records;
        let (framework, name, id) = (framework.name.clone(), task.name.clone(), task.id.clone());
        listed.push(TaskNames { framework, name, id, records });
    }
    listed
}

/// The names of one task.
struct Names<'a> {
    builder: &'a mut Builder,
    domain: &'a str,
    framework: String,
    task: &'a Task,
    agent: &'a Agent,
    records: Vec<(String, String, &'static str)>,
}

impl Names<'_> {
    fn add(&mut self) {
        let discovery = self.task.discovery.as_ref();
        let named = discovery.and_then(|discovery| Some((discovery.name.as_deref()?, discovery)));
        match named {
            Some((name, discovery)) => {
                let label = label::label(name);
                self.under(&label, Some(discovery));
                // Mesos-DNS registers the name as it is too, so that dots in it count.
                let raw = name.to_ascii_lowercase();
                if raw != label {
                    self.under(&raw, Some(discovery));
                }
            }
            None => self.under(&label::label(&self.task.name), None),
        }
        self.directory(&label::label(named.map_or(&self.task.name, |(name, _)| name)));
    }

    /// The names of Mesos-DNS for one spelling of the task.
    fn under(&mut self, task: &str, discovery: Option<&Discovery>) {
        let (framework, domain) = (self.framework.clone(), self.domain);
        let address = self.agent.ip;
        let canonical = label::canonical(&label::label(task), &self.task.id, &self.task.agent_id);
        let canonical_name = format!("{canonical}.{framework}.{domain}");
        let canonical_agent = format!("{canonical}.{framework}.slave.{domain}");
        self.address(format!("{task}.{framework}.{domain}"), address);
        self.address(canonical_name.clone(), address);
        self.address(format!("{task}.{framework}.slave.{domain}"), address);
        self.address(canonical_agent.clone(), address);
        for port in &self.task.host_ports {
            for protocol in PROTOCOLS {
                self.service(
                    format!("_{task}._{protocol}.{framework}.slave.{domain}"),
                    &canonical_agent,
                    *port,
                );
                if discovery.is_none() {
                    self.service(
                        format!("_{task}._{protocol}.{framework}.{domain}"),
                        &canonical_agent,
                        *port,
                    );
                }
            }
        }
        for port in discovery.iter().flat_map(|discovery| &discovery.ports) {
            for protocol in protocols(port.protocol.as_deref()) {
                let service = format!("_{task}._{protocol}.{framework}.{domain}");
                if let Some(name) = &port.name {
                    self.service(
                        format!("_{}.{service}", label::label(name)),
                        &canonical_name,
                        port.number,
                    );
                }
                self.service(service, &canonical_name, port.number);
            }
        }
    }

    /// The names of the DC/OS network agent.
    fn directory(&mut self, task: &str) {
        let Self {
            builder, framework, agent, task: Task { container_ips, port_mappings, .. }, ..
        } = self;
        let agent_ip = [agent.ip];
        let container: &[IpAddr] = if container_ips.is_empty() { &agent_ip } else { container_ips };
        let auto = if port_mappings.is_empty() { container } else { &agent_ip };
        for (kind, addresses) in
            [("agentip", agent_ip.as_slice()), ("containerip", container), ("autoip", auto)]
        {
            for address in addresses {
                builder.address(&format!("{task}.{framework}.{kind}.dcos.{DIRECTORY}"), *address);
            }
        }
    }

    fn address(&mut self, name: String, address: IpAddr) {
        self.builder.address(&name, address);
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        self.record(name, address.to_string(), kind);
    }

    fn service(&mut self, name: String, target: &str, port: u16) {
        self.builder.service(&name, target, port);
        self.record(name, format!("{target}:{port}"), "SRV");
    }

    fn record(&mut self, name: String, data: String, kind: &'static str) {
        if label::is_name(&name) {
            self.records.push((name, data, kind));
        }
    }
}

/// The protocols of a port: as said, `tcp,udp` in one word too, or both.
fn protocols(said: Option<&str>) -> BTreeSet<String> {
    let said = said.unwrap_or_default().split(',').map(label::label);
    let said: BTreeSet<String> = said.filter(|protocol| !protocol.is_empty()).collect();
    if said.is_empty() {
        PROTOCOLS.iter().map(|protocol| (*protocol).to_owned()).collect()
    } else {
        said
    }
}
