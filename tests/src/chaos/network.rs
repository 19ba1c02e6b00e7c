//! A network of machines on this one: a namespace for each, joined by a bridge
//! in another. Nothing of it touches the network of this machine itself.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use nix::sched::{CloneFlags, setns};

/// The namespaces of one campaign; gone with this value.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
    machines: u8,
}

/// The machines are counted from here.
fn address(machine: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 98, 0, 10 + machine))
}

impl Network {
    pub(super) fn lay(machines: u8) -> Result<Self> {
        let network = Self { name: format!("chaos-{}", std::process::id()), machines };
        let hub = network.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "set", "lo", "up"])?;
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &hub, "address", "add", "10.98.0.1/24", "dev", "br0"])?;
        ip(&["-n", &hub, "link", "set", "br0", "up"])?;
        for machine in 0..machines {
            let (name, port) = (network.machine(machine), format!("m{machine}"));
            ip(&["netns", "add", &name])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&[
                "-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns",
                &hub,
            ])?;
            let own = format!("{}/24", address(machine));
            ip(&["-n", &name, "address", "add", &own, "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"])?;
        }
        Ok(network)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn machine(&self, machine: u8) -> String {
        format!("{}-{machine}", self.name)
    }

    pub(super) fn address(&self, machine: u8) -> IpAddr {
        address(machine)
    }

    fn path(name: &str) -> PathBuf {
        PathBuf::from("/run/netns").join(name)
    }

    /// A command that runs on a machine, as the process that is spawned.
    pub(super) fn command(&self, machine: u8, program: &std::path::Path) -> Command {
        let mut command = Command::new("nsenter");
        let namespace = Self::path(&self.machine(machine));
        command.arg(format!("--net={}", namespace.display())).arg("--").arg(program);
        command
    }

    /// Moves this thread into the hub, from where it reaches all machines.
    pub(super) fn enter(&self) -> Result<()> {
        setns(File::open(Self::path(&self.hub()))?, CloneFlags::CLONE_NEWNET)?;
        Ok(())
    }

    /// Pulls the cable of a machine.
    pub(super) fn cut(&self, machine: u8) -> Result<()> {
        ip(&["-n", &self.hub(), "link", "set", &format!("m{machine}"), "down"])
    }

    pub(super) fn join(&self, machine: u8) -> Result<()> {
        ip(&["-n", &self.hub(), "link", "set", &format!("m{machine}"), "up"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let machines = (0..self.machines).map(|machine| self.machine(machine));
        for name in machines.chain([self.hub()]) {
            // What was never made need not be removed.
            let _missing = ip(&["netns", "delete", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
