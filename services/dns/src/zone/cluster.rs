//! The names of the cluster itself: masters, agents, frameworks, this server.
//! Pure.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr};

use karman_api::karman::discovery::{Master, Snapshot};

use super::{Builder, DIRECTORY, Settings, label};

/// Clients of DC/OS wait for this name before they use the name server.
const READY: &str = "ready.spartan";
/// `zk-1` to `zk-5` are the masters, repeated until there are five.
const ZK_NAMES: usize = 5;

pub(super) fn add(builder: &mut Builder, snapshot: &Snapshot, settings: &Settings) {
    let domain = &settings.domain;
    builder.address(&format!("ns1.{domain}"), settings.server);
    builder.address(READY, IpAddr::V4(Ipv4Addr::LOCALHOST));
    builder.address("ns.spartan", settings.server);
    if let Some(leader) = &snapshot.leader {
        builder.address(&format!("leader.{domain}"), leader.ip);
        for protocol in ["tcp", "udp"] {
            builder.service(
                &format!("_leader._{protocol}.{domain}"),
                &format!("leader.{domain}"),
                leader.port,
            );
        }
        builder.address(&format!("leader.dcos.{DIRECTORY}"), leader.ip);
        masters(builder, leader, settings);
    }
    for agent in snapshot.agents.values() {
        builder.address(&format!("slave.{domain}"), agent.ip);
        builder.service(&format!("_slave._tcp.{domain}"), &format!("slave.{domain}"), agent.port);
    }
    frameworks(builder, snapshot, domain);
}

/// All masters; where they are not configured, the one that leads.
fn masters(builder: &mut Builder, leader: &Master, Settings { domain, masters, .. }: &Settings) {
    let only = [leader.ip];
    let masters = if masters.is_empty() { &only[..] } else { masters };
    for (n, ip) in masters.iter().enumerate() {
        builder.address(&format!("master.{domain}"), *ip);
        builder.address(&format!("master{n}.{domain}"), *ip);
        builder.address(&format!("master.dcos.{DIRECTORY}"), *ip);
    }
    let service = format!("_master._tcp.{domain}");
    builder.service(&service, &format!("master.{domain}"), leader.port);
    for (n, ip) in (1..=ZK_NAMES).zip(masters.iter().cycle()) {
        builder.address(&format!("zk-{n}.zk"), *ip);
    }
}

/// A scheduler is found where its web page is, if that is an address or the
/// name of a machine we know.
fn frameworks(builder: &mut Builder, snapshot: &Snapshot, domain: &str) {
    for framework in snapshot.frameworks.values() {
        let Some((host, port)) = framework.webui_url.as_deref().and_then(host_and_port) else {
            continue;
        };
        let Some(address) = host.parse().ok().or_else(|| machine(snapshot, host)) else { continue };
        let name = format!("{}.{domain}", label::fragment(&framework.name));
        builder.address(&name, address);
        if let Some(port) = port {
            builder.service(&format!("_framework._tcp.{name}"), &name, port);
        }
    }
}

fn machine(snapshot: &Snapshot, hostname: &str) -> Option<IpAddr> {
    let leader = snapshot.leader.iter().map(|leader| (&leader.hostname, leader.ip));
    let agents = snapshot.agents.values().map(|agent| (&agent.hostname, agent.ip));
    leader.chain(agents).find(|(name, _)| *name == hostname).map(|(_, ip)| ip)
}

/// The host of a URL, and its port where there is one or the scheme has one.
fn host_and_port(url: &str) -> Option<(&str, Option<u16>)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => {
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        }
    };
    Some((host, port.map_or(default, |port| port.parse().ok())))
}
