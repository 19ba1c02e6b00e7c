//! Whether a machine can be a node: every check, with what to do. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};

use crate::node::{Facts, Installed};
use crate::plan::Role;

/// Several directives of the units came with it.
const SYSTEMD_MIN: u32 = 247;
const KERNEL_MIN: (u32, u32) = (5, 12);
const MIB: u64 = 1 << 20;
/// A release and its successor.
const PROGRAMS_FREE_MIN: u64 = 400 * MIB;
const STATE_FREE_MIN: u64 = 1024 * MIB;
const STATE_FREE_GOOD: u64 = 10 * 1024 * MIB;
const MASTER_MEMORY_MIN: u64 = 512 * MIB;
const MASTER_MEMORY_GOOD: u64 = 4096 * MIB;
const AGENT_MEMORY_MIN: u64 = 256 * MIB;
/// Leases and certificates live with this; logs become hard to read.
const SKEW_GOOD_MS: i64 = 500;
const SKEW_MAX_MS: i64 = 5000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    pub remedy: &'static str,
}

/// What the machine shall be.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub role: Role,
    pub address: IpAddr,
    pub cluster_id: &'a str,
    pub arch: &'a str,
    /// How far its clock is ahead of ours.
    pub skew_ms: i64,
    pub etcd: bool,
}

/// Ports that a role listens on, at the address of the machine or everywhere.
pub fn ports(role: Role, etcd: bool) -> Vec<u16> {
    match role {
        Role::Master => {
            let mut ports = vec![53, 80, 443, 5049, 5050, 7070, 8080, 8123, 9000];
            if etcd {
                ports.extend([2379, 2380]);
            }
            ports
        }
        Role::Agent | Role::PublicAgent => vec![53, 5051, 8123],
    }
}

/// Where other machines must reach a master.
pub fn reached(master: IpAddr, by: Role, etcd: bool) -> Vec<SocketAddr> {
    let ports: &[u16] = match by {
        Role::Master if etcd => &[2379, 2380, 5049, 5050],
        Role::Master | Role::Agent | Role::PublicAgent => &[5049, 5050],
    };
    ports.iter().map(|port| SocketAddr::new(master, *port)).collect()
}

/// All checks of one machine.
pub fn judge(facts: &Facts, question: Question<'_>) -> Vec<Finding> {
    let mut judge = Judge { facts, question, findings: Vec::new() };
    judge.system();
    judge.room();
    judge.clock();
    judge.others();
    judge.network();
    judge.findings
}

struct Judge<'a> {
    facts: &'a Facts,
    question: Question<'a>,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn find(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        detail: String,
        remedy: &'static str,
    ) {
        self.findings.push(Finding { check, verdict, detail, remedy });
    }

    fn require(&mut self, check: &'static str, good: bool, detail: String, remedy: &'static str) {
        self.find(check, if good { Verdict::Pass } else { Verdict::Fail }, detail, remedy);
    }

    fn prefer(&mut self, check: &'static str, good: bool, detail: String, remedy: &'static str) {
        self.find(check, if good { Verdict::Pass } else { Verdict::Warn }, detail, remedy);
    }

    fn system(&mut self) {
        let Facts { root, arch, kernel, systemd, cgroups, selinux, missing_tools, .. } = self.facts;
        self.require(
            "root",
            *root,
            "is root".into(),
            "take an ssh_user that is root or may use sudo",
        );
        let good = arch == self.question.arch;
        self.require("processor", good, arch.clone(), "take the installer that was built for it");
        let parts: Vec<u32> =
            kernel.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
        let version = (parts.first().copied().unwrap_or(0), parts.get(1).copied().unwrap_or(0));
        self.require("kernel", version >= KERNEL_MIN, kernel.clone(), "5.12 or later is needed");
        let detail = if *systemd == 0 { "does not run it".into() } else { systemd.to_string() };
        self.require(
            "systemd",
            *systemd >= SYSTEMD_MIN,
            detail,
            "version 247 or later must run it",
        );
        let missing = missing_tools.join(" ");
        let detail =
            if missing.is_empty() { "all there".into() } else { format!("without {missing}") };
        let remedy = "install the packages iproute2, passwd, util-linux";
        self.require("programs", missing.is_empty(), detail, remedy);
        if self.question.role != Role::Master {
            let good = ["cpu", "memory"].iter().all(|name| cgroups.contains(*name));
            let detail = if good { "cpu and memory" } else { "cpu or memory is missing" };
            let remedy = "tasks would run without limits; boot with cgroup_enable=memory";
            self.prefer("control groups", good, detail.into(), remedy);
        }
        if let Some(mode) = selinux {
            let remedy = "Karman brings no policy; set it to permissive";
            self.prefer("SELinux", mode != "enforcing", mode.clone(), remedy);
        }
    }

    fn room(&mut self) {
        let free = |path: &str| self.facts.free_bytes.get(path).copied().unwrap_or(0);
        let (programs, state) = (free("/opt/karman"), free("/var/lib/karman"));
        let show = |bytes: u64, path: &str| format!("{} MiB free in {path}", bytes / MIB);
        self.require(
            "disk for programs",
            programs >= PROGRAMS_FREE_MIN,
            show(programs, "/opt"),
            "400 MiB are needed",
        );
        let detail = show(state, "/var/lib");
        if state < STATE_FREE_MIN {
            self.find("disk for state", Verdict::Fail, detail, "1 GiB is needed, 10 GiB are good");
        } else {
            self.prefer("disk for state", state >= STATE_FREE_GOOD, detail, "10 GiB are good");
        }
        let memory = self.facts.memory_bytes;
        let detail = format!("{} MiB", memory / MIB);
        let (least, good, remedy) = match self.question.role {
            Role::Master => {
                (MASTER_MEMORY_MIN, MASTER_MEMORY_GOOD, "512 MiB are needed, 4 GiB are good")
            }
            Role::Agent | Role::PublicAgent => {
                (AGENT_MEMORY_MIN, AGENT_MEMORY_MIN, "256 MiB are needed besides the tasks")
            }
        };
        if memory < least {
            self.find("memory", Verdict::Fail, detail, remedy);
        } else {
            self.prefer("memory", memory >= good, detail, remedy);
        }
    }

    fn clock(&mut self) {
        let skew = self.question.skew_ms;
        let detail = format!("{skew} ms from the installer's");
        let remedy = "set it, and let chrony or systemd-timesyncd keep it";
        if skew.abs() > SKEW_MAX_MS {
            self.find("clock", Verdict::Fail, detail, remedy);
        } else {
            self.prefer("clock", skew.abs() <= SKEW_GOOD_MS, detail, remedy);
        }
        if let Some(synchronised) = self.facts.clock_synchronised {
            let detail = if synchronised { "synchronised" } else { "nobody keeps the clock" };
            self.prefer("time service", synchronised, detail.into(), remedy);
        }
    }

    fn others(&mut self) {
        let Facts { installed, in_the_way, others, .. } = self.facts;
        let Question { cluster_id, role, .. } = self.question;
        match installed {
            None => self.find("Karman", Verdict::Pass, "not installed yet".into(), ""),
            Some(Installed { cluster_id: theirs, cluster_name, .. }) if theirs != cluster_id => {
                let detail = format!("belongs to the cluster '{cluster_name}' ({theirs})");
                let remedy = "uninstall it from where it was installed";
                self.find("Karman", Verdict::Fail, detail, remedy);
            }
            Some(Installed { role: is, .. }) if *is != role => {
                let detail = format!("is installed as {}", is.name());
                self.find("Karman", Verdict::Fail, detail, "use remove-node first");
            }
            Some(Installed { release, .. }) => {
                self.find("Karman", Verdict::Pass, format!("release {release}"), "");
            }
        }
        for path in in_the_way {
            let remedy = "move it away: uninstalling would remove it";
            self.find("Karman", Verdict::Fail, format!("{path} is there and nobody's"), remedy);
        }
        for other in others {
            let remedy = "uninstall it: both want the same ports and machines";
            self.find("other systems", Verdict::Fail, format!("{other} is installed"), remedy);
        }
    }

    fn network(&mut self) {
        let Facts { addresses, detected_address, installed, tcp, .. } = self.facts;
        let Question { address, role, etcd, .. } = self.question;
        if let Some(detected) = detected_address {
            let detail = format!("ip_detect says {detected}");
            self.require(
                "address",
                *detected == address,
                detail,
                "list that address, or correct the script",
            );
        } else {
            let detail = if addresses.contains(&address) {
                address.to_string()
            } else {
                format!("{address} is on none of its interfaces")
            };
            let remedy =
                "list the address that the machine has itself; behind NAT it cannot be reached";
            self.require("address", addresses.contains(&address), detail, remedy);
        }
        // What listens on an installed machine is Karman.
        if installed.is_none() {
            let taken: Vec<String> = ports(role, etcd)
                .into_iter()
                .filter_map(|port| {
                    let program = tcp.get(&port)?;
                    Some(if program.is_empty() {
                        port.to_string()
                    } else {
                        format!("{port} ({program})")
                    })
                })
                .collect();
            let detail = if taken.is_empty() {
                "all free".to_owned()
            } else {
                format!("taken: {}", taken.join(", "))
            };
            self.require("ports", taken.is_empty(), detail, "stop what listens there, or move it");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
