//! The labels that ask for virtual IPs. Pure.
//!
//! On a port of `DiscoveryInfo`: any label whose key begins with `VIP` or `vip`,
//! with the value `name:port`, `/name:port`, `ip:port` or `[ip]:port`. On a
//! task: `vip_PORT<n>` for its n-th port, with `tcp://` or `udp://` before such
//! a value.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use karman_api::karman::label;

use super::Name;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub protocol: Protocol,
    pub target: Target,
    pub port: u16,
}

/// A name whose address is derived, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Name(Name),
    Address(IpAddr),
}

/// Why a label has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Mistake {
    #[error("'{value}' is not 'name:port' or 'ip:port'")]
    Form { value: String },
    #[error("'{value}' has no name that DNS can carry")]
    Name { value: String },
    #[error("'{value}' does not begin with 'tcp://' or 'udp://'")]
    Scheme { value: String },
    #[error("the protocol '{protocol}' has no virtual IPs, only tcp and udp have")]
    Protocol { protocol: String },
    #[error("'{address}' cannot lead to a task that has only addresses of the other family")]
    Family { address: IpAddr },
    #[error("the task has {ports} ports, and none with index {index}")]
    NoSuchPort { index: usize, ports: usize },
}

impl Protocol {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }
}

impl Target {
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

/// Whether the label of a port asks for a virtual IP.
pub(super) fn is_vip(key: &str) -> bool {
    key.starts_with("VIP") || key.starts_with("vip")
}

/// A label of a port. A port for both protocols, `tcp,udp`, has both.
pub(super) fn of_port(
    value: &str,
    protocol: Option<&str>,
    framework: &str,
) -> Result<Vec<Wanted>, Mistake> {
    let protocols = protocol.unwrap_or("tcp").split(',').map(|protocol| {
        Protocol::parse(protocol).ok_or_else(|| Mistake::Protocol { protocol: protocol.to_owned() })
    });
    let protocols = protocols.collect::<Result<Vec<_>, _>>()?;
    let (target, port) = target(value, framework)?;
    let wanted =
        protocols.into_iter().map(|protocol| Wanted { protocol, target: target.clone(), port });
    Ok(wanted.collect())
}

/// The index of `vip_PORT<n>`.
pub(super) fn port_index(key: &str) -> Option<usize> {
    let (prefix, index) = key.split_at_checked("vip_PORT".len())?;
    prefix.eq_ignore_ascii_case("vip_PORT").then(|| index.parse().ok()).flatten()
}

/// A label of a task.
pub(super) fn of_task(value: &str, framework: &str) -> Result<Wanted, Mistake> {
    let (protocol, rest) =
        value.split_once("://").ok_or_else(|| Mistake::Scheme { value: value.to_owned() })?;
    let protocol =
        Protocol::parse(protocol).ok_or_else(|| Mistake::Scheme { value: value.to_owned() })?;
    let (target, port) = target(rest, framework)?;
    Ok(Wanted { protocol, target, port })
}

fn target(value: &str, framework: &str) -> Result<(Target, u16), Mistake> {
    let form = || Mistake::Form { value: value.to_owned() };
    let (host, port) = value.trim().rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(form)?;
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = address.parse() {
        return Ok((Target::Address(address), port));
    }
    let name = Name { label: label::fragment(host), framework: framework.to_owned() };
    if name.label.is_empty() || !label::is_name(&name.to_string()) {
        return Err(Mistake::Name { value: value.to_owned() });
    }
    Ok((Target::Name(name), port))
}
