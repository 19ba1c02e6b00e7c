//! How the parts of a machine do.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::{Machine, run, systemctl};
use super::{Installed, master, state};
use crate::layout::{CURRENT, RESOLV_CONF};
use crate::plan::Role;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitHealth {
    pub name: String,
    pub active: bool,
    /// What systemd says of it.
    pub state: String,
    pub restarts: u32,
}

/// A machine and its services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub installed: Option<Installed>,
    pub units: Vec<UnitHealth>,
    /// What was tried, with what went wrong, if anything.
    pub checks: BTreeMap<String, Option<String>>,
    /// On masters: the address of the one that leads, and agents by whether
    /// they are connected.
    pub leader: Option<String>,
    pub agents: BTreeMap<String, bool>,
}

pub(super) fn look(machine: &Machine) -> anyhow::Result<Health> {
    let record = state::load(machine)?;
    let Some(identity) = record.identity else { return Ok(Health::default()) };
    let names: Vec<String> = record.started.keys().cloned().collect();
    let mut health = Health {
        units: if machine.is_live() { units(&names)? } else { Vec::new() },
        ..Health::default()
    };
    let mut note = |check: &str, result: Result<(), String>| {
        health.checks.insert(check.to_owned(), result.err());
    };
    let address = identity.address;
    note("dns answers", dns());
    let asks = machine.text(RESOLV_CONF).contains("198.51.100.1");
    note(
        "the machine asks its own name server",
        if asks {
            Ok(())
        } else {
            Err(format!("something else wrote {RESOLV_CONF}; deploy again"))
        },
    );
    match identity.role {
        Role::Master => {
            if names.iter().any(|name| name.contains("etcd")) {
                note("etcd is healthy", etcd());
            }
            note("gateway listens", connect(SocketAddr::new(address, 443)));
            match master::state(address) {
                Ok(state) => {
                    note("master answers", Ok(()));
                    health.leader = state.leader;
                    health.agents = state.agents;
                }
                Err(error) => note("master answers", Err(format!("{error:#}"))),
            }
        }
        Role::Agent | Role::PublicAgent => {
            note("agent listens", connect(SocketAddr::from(([127, 0, 0, 1], 5051))));
        }
    }
    health.installed = Some(Installed {
        cluster_id: identity.cluster_id,
        cluster_name: identity.cluster_name,
        role: identity.role,
        address,
        release: identity.release,
        started: names,
        served: record.served,
    });
    Ok(health)
}

fn units(names: &[String]) -> anyhow::Result<Vec<UnitHealth>> {
    let mut units = Vec::new();
    for name in names {
        let properties = ["--property=ActiveState", "--property=SubState", "--property=NRestarts"];
        let mut arguments = vec!["show"];
        arguments.extend(properties);
        arguments.push(name);
        let text = systemctl(&arguments)?;
        let field = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let (active, sub) = (field("ActiveState="), field("SubState="));
        units.push(UnitHealth {
            name: name.clone(),
            active: active == "active",
            state: format!("{active} ({sub})"),
            restarts: field("NRestarts=").parse().unwrap_or(0),
        });
    }
    units.sort_by_key(|unit| crate::layout::start_order(&unit.name));
    Ok(units)
}

fn connect(address: SocketAddr) -> Result<(), String> {
    TcpStream::connect_timeout(&address, CONNECT_LIMIT)
        .map(drop)
        .map_err(|error| format!("{address}: {error}"))
}

fn etcd() -> Result<(), String> {
    let tls = "/etc/karman/tls/store";
    let mut etcdctl = Command::new(format!("{CURRENT}/bin/etcdctl"));
    etcdctl.env("ETCDCTL_API", "3").args(["endpoint", "health", "--command-timeout=3s"]);
    etcdctl.arg("--endpoints=https://127.0.0.1:2379");
    for (option, file) in [("cacert", "ca.pem"), ("cert", "client.pem"), ("key", "client.key")] {
        etcdctl.arg(format!("--{option}={tls}/{file}"));
    }
    run(&mut etcdctl).map(drop).map_err(|error| format!("{error:#}"))
}

/// Asks our name server for `leader.mesos`.
fn dns() -> Result<(), String> {
    let question =
        b"\x4b\x41\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06leader\x05mesos\x00\x00\x01\x00\x01";
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        socket.send_to(question, "198.51.100.1:53")?;
        let mut answer = [0; 512];
        let bytes = socket.recv(&mut answer)?;
        // The same question, no error, at least one answer.
        Ok(bytes > 12 && answer[..2] == question[..2] && answer[3] & 0x0f == 0 && answer[7] > 0)
    };
    match ask() {
        Ok(true) => Ok(()),
        Ok(false) => Err("leader.mesos has no address yet".to_owned()),
        Err(_) => Err("198.51.100.1 does not answer".to_owned()),
    }
}
