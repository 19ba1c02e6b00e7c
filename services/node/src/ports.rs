//! Which role listens where. Pure: binding is done by `up`.
//!
//! Everything is on loopback. The n-th agent has an address of its own
//! (`127.0.0.n`), so that agents on one machine differ in name and address as
//! they do in a room of machines.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// More agents than this would leave too few ports for the tasks of each.
pub const AGENTS_MAX: u32 = 100;

/// The ports of the roles; 0 lets the kernel choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub gateway: u16,
    pub master: u16,
    pub session: u16,
    /// Of the first agent; each further one has the next port.
    pub agent: u16,
    pub marathon: u16,
    pub metronome: u16,
    pub catalog: u16,
    pub dns: u16,
    pub dns_http: u16,
}

impl Default for Ports {
    /// The ports that clients of DC/OS expect, where an unprivileged user may
    /// have them.
    fn default() -> Self {
        Self {
            gateway: 8000,
            master: 5050,
            session: 5049,
            agent: 5051,
            marathon: 8080,
            metronome: 9000,
            catalog: 7070,
            dns: 8053,
            dns_http: 8123,
        }
    }
}

impl Ports {
    /// The kernel chooses every port.
    pub const EPHEMERAL: Self = Self {
        gateway: 0,
        master: 0,
        session: 0,
        agent: 0,
        marathon: 0,
        metronome: 0,
        catalog: 0,
        dns: 0,
        dns_http: 0,
    };

    /// The ports by the key that sets them.
    pub fn by_key(&self) -> [(&'static str, u16); 9] {
        let Self { gateway, master, session, agent, marathon, metronome, catalog, dns, dns_http } =
            *self;
        [
            ("gateway", gateway),
            ("master", master),
            ("session", session),
            ("agent", agent),
            ("marathon", marathon),
            ("metronome", metronome),
            ("catalog", catalog),
            ("dns", dns),
            ("dns_http", dns_http),
        ]
    }

    /// Where a role other than an agent listens.
    pub fn role(port: u16) -> SocketAddr {
        SocketAddr::new(LOOPBACK, port)
    }

    /// Where the agents listen.
    pub fn agents(&self, count: u32) -> Vec<SocketAddr> {
        (0..count)
            .map(|index| SocketAddr::new(agent_ip(index), agent_port(self.agent, index)))
            .collect()
    }

    /// Every pair of roles that want the same address, as one sentence each.
    pub fn conflicts(&self, agents: u32) -> Vec<String> {
        let mut wanted: Vec<(SocketAddr, String)> = Vec::new();
        for (key, port) in self.by_key() {
            if key == "agent" {
                wanted.extend(
                    self.agents(agents)
                        .into_iter()
                        .zip(1..)
                        .map(|(at, n)| (at, format!("agent {n}"))),
                );
            } else {
                wanted.push((Self::role(port), key.to_owned()));
            }
        }
        let mut conflicts = Vec::new();
        for (index, (address, role)) in wanted.iter().enumerate() {
            for (other_address, other) in wanted.iter().skip(index + 1) {
                if address.port() != 0 && address == other_address {
                    conflicts.push(format!("{role} and {other} cannot both listen on {address}"));
                }
            }
        }
        conflicts
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn agent_ip(index: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + index))
}

fn agent_port(first: u16, index: u32) -> u16 {
    if first == 0 { 0 } else { first.saturating_add(u16::try_from(index).unwrap_or(u16::MAX)) }
}

#[cfg(test)]
mod tests;
