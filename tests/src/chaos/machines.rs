//! The processes of the machines: etcd and the roles of `karmand serve`, started
//! again when they end, as their units do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};
use karman_installer::pki::{self, Authority};
use karman_installer::plan;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::network::Network;
use crate::etcd::{CLIENT_PORT, Member, PEER_PORT};
use crate::{binaries, processes};

/// Masters come first.
pub(super) const MASTERS: u8 = 3;
pub(super) const AGENTS: u8 = 3;

/// What runs on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Etcd,
    Master,
    Orchestrator,
    Agent,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Master => "master",
            Self::Orchestrator => "orchestrator",
            Self::Agent => "agent",
        }
    }
}

/// One role of one machine.
pub(super) type Place = (u8, Role);

#[derive(Debug)]
pub(super) struct Machines {
    folder: PathBuf,
    programs: PathBuf,
    members: Vec<Member>,
    running: BTreeMap<Place, Child>,
    /// Roles that ended by themselves, for the report.
    pub(super) ended: Vec<String>,
}

/// Where each role runs.
pub(super) fn places() -> Vec<Place> {
    let masters = (0..MASTERS).flat_map(|machine| {
        [Role::Etcd, Role::Master, Role::Orchestrator].map(|role| (machine, role))
    });
    let agents = (MASTERS..MASTERS + AGENTS).map(|machine| (machine, Role::Agent));
    masters.chain(agents).collect()
}

impl Machines {
    /// Writes what each machine needs; nothing runs yet.
    pub(super) fn set_up(network: &Network, folder: &Path, programs: &Path) -> Result<Self> {
        let (cluster, store) = (Authority::create("nodes")?, Authority::create("store")?);
        let masters: Vec<String> =
            (0..MASTERS).map(|machine| format!("{:?}", network.address(machine))).collect();
        let config = format!(
            "cluster_name: chaos\ncluster:\n  id: {}\n  masters: [{}]\n  store: etcd\nlog:\n  level: info\n",
            "6ab1f1a6-6ed6-4c5c-9d3e-2b1c5d0a7f11",
            masters.join(", "),
        );
        let mut members = Vec::new();
        for machine in 0..MASTERS + AGENTS {
            let home = folder.join(machine.to_string());
            let (tls, data) = (home.join("tls"), home.join("data"));
            fs::create_dir_all(&data)?;
            let is_master = machine < MASTERS;
            let role = if is_master { plan::Role::Master } else { plan::Role::Agent };
            let address = network.address(machine);
            let authority = is_master.then_some(&store);
            pki::write_node(&tls, &cluster, authority, role, address, &format!("m{machine}"))?;
            fs::write(home.join("karman.yaml"), &config)?;
            fs::write(home.join("node.yaml"), node(&home, &address.to_string(), is_master))?;
            if is_master {
                let (client, peer) = (CLIENT_PORT, PEER_PORT);
                members.push(Member { address, client, peer, tls, data: data.join("etcd") });
            }
        }
        let (folder, programs) = (folder.to_owned(), programs.to_owned());
        Ok(Self { folder, programs, members, running: BTreeMap::new(), ended: Vec::new() })
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The certificates of a machine.
    pub(super) fn tls(&self, machine: u8) -> PathBuf {
        self.folder.join(machine.to_string()).join("tls")
    }

    pub(super) fn start(&mut self, network: &Network, (machine, role): Place) -> Result<()> {
        let home = self.folder.join(machine.to_string());
        let mut command = match role {
            Role::Etcd => {
                let mut command = network.command(machine, &self.programs.join("etcd"));
                let member = self.members.get(usize::from(machine)).context("no such member")?;
                command.args(member.arguments(&self.members));
                command
            }
            Role::Master | Role::Orchestrator | Role::Agent => {
                let mut command = network.command(machine, &binaries::path("karmand"));
                command.args(["serve", role.name(), "--config"]).arg(home.join("karman.yaml"));
                command.arg("--node").arg(home.join("node.yaml"));
                command
            }
        };
        let log = home.join(format!("{}.log", role.name()));
        let log = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start a role")?;
        self.running.insert((machine, role), child);
        Ok(())
    }

    pub(super) fn kill_9(&mut self, place: Place) -> Result<()> {
        if let Some(mut child) = self.running.remove(&place) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    pub(super) fn signal(&self, place: Place, signal: Signal) -> Result<()> {
        if let Some(child) = self.running.get(&place) {
            kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        }
        Ok(())
    }

    /// Starts what ended by itself, as a unit does: a leader that lost its
    /// leadership, for one.
    pub(super) fn start_ended(&mut self, network: &Network) -> Result<()> {
        let mut ended = Vec::new();
        for (place, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                ended.push((*place, status));
            }
        }
        for (place, status) in ended {
            let (machine, role) = place;
            let how = status.signal().map_or_else(|| status.to_string(), |n| format!("signal {n}"));
            self.ended.push(format!("{} of machine {machine}: {how}", role.name()));
            self.start(network, place)?;
        }
        Ok(())
    }

    /// The end of a role's log, for a report.
    pub(super) fn log(&self, (machine, role): Place) -> String {
        let path = self.folder.join(machine.to_string()).join(format!("{}.log", role.name()));
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(40)).copied().collect::<Vec<_>>().join("\n")
    }
}

fn node(home: &Path, address: &str, is_master: bool) -> String {
    let tls = home.join("tls");
    let files = |key: &str, folder: PathBuf, name: &str| {
        format!(
            "{key}:\n  ca: {}\n  certificate: {}\n  key: {}\n",
            folder.join("ca.pem").display(),
            folder.join(format!("{name}.pem")).display(),
            folder.join(format!("{name}.key")).display()
        )
    };
    let mut text = format!("address: {address}\ndata_dir: {}\n", home.join("data").display());
    text += &files("tls", tls.clone(), "node");
    if is_master {
        text += "role: master\n";
        text += &files("store_tls", tls.join("store"), "client");
    } else {
        text += "role: agent\nresources: \"cpus:16;mem:8192;disk:8192;ports:[31000-31999]\"\n";
    }
    text
}

impl Drop for Machines {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // One that ended by itself is what is wanted.
            let _ended = child.kill();
            let _waited = child.wait();
        }
        processes::kill_folder(&self.folder);
    }
}
