//! What a machine is, for whoever decides whether it can be a node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::machine::{Machine, run};
use super::state;
use crate::layout::{CONFIG, INSTALL, RESOLV_CONF, STATE, name_servers};
use crate::plan::Role;

/// Programs that the node engine and the services call.
const TOOLS: &[&str] = &[
    "ip",
    "useradd",
    "userdel",
    "groupadd",
    "groupdel",
    "systemctl",
    "journalctl",
    "umount",
    "sh",
];
const TOOL_FOLDERS: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const LISTENING: &str = "0A";
const SCRIPT_BYTES_MAX: usize = 1 << 16;

/// What to find out besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// A script that prints the address of the machine.
    #[serde(default)]
    pub ip_detect: Option<String>,
    /// A script that prints the fault domain, as JSON in the form of DC/OS.
    #[serde(default)]
    pub fault_domain_detect: Option<String>,
}

/// Karman, as it is installed there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub cluster_id: String,
    pub cluster_name: String,
    pub role: Role,
    pub address: IpAddr,
    pub release: String,
    pub started: Vec<String>,
    /// It served with all its services once.
    pub served: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub root: bool,
    pub arch: String,
    pub kernel: String,
    /// 0 where systemd does not run the machine.
    pub systemd: u32,
    /// Controllers of control groups.
    pub cgroups: BTreeSet<String>,
    pub selinux: Option<String>,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Free space where we write.
    pub free_bytes: BTreeMap<String, u64>,
    /// Ports that somebody listens on, with the program where it can be seen.
    pub tcp: BTreeMap<u16, String>,
    pub udp: BTreeMap<u16, String>,
    pub host: String,
    pub addresses: BTreeSet<IpAddr>,
    pub clock_ms: i64,
    pub clock_synchronised: Option<bool>,
    pub missing_tools: Vec<String>,
    pub resolvers: Vec<String>,
    pub installed: Option<Installed>,
    /// Folders of ours that nobody noted.
    pub in_the_way: Vec<String>,
    /// Other datacenters that live here.
    pub others: Vec<String>,
    pub detected_address: Option<IpAddr>,
    pub detected_fault_domain: Option<String>,
}

pub(super) fn gather(machine: &Machine, ask: &Ask) -> anyhow::Result<Facts> {
    let record = state::load(machine)?;
    let installed = record.identity.clone().map(|identity| Installed {
        cluster_id: identity.cluster_id,
        cluster_name: identity.cluster_name,
        role: identity.role,
        address: identity.address,
        release: identity.release,
        started: record.started.keys().cloned().collect(),
        served: record.served,
    });
    let in_the_way = match &installed {
        Some(_) => Vec::new(),
        None => {
            [CONFIG, STATE].into_iter().filter(|path| has_entries(&machine.path(path))).collect()
        }
    };
    let missing =
        |tool: &&&str| !TOOL_FOLDERS.iter().any(|folder| Path::new(folder).join(tool).exists());
    let programs = socket_owners();
    Ok(Facts {
        root: rustix::process::geteuid().is_root(),
        arch: std::env::consts::ARCH.to_owned(),
        kernel: machine.text("/proc/sys/kernel/osrelease").trim().to_owned(),
        systemd: systemd_version(machine),
        cgroups: cgroups(),
        selinux: selinux(),
        cpus: std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(),
        free_bytes: [INSTALL, STATE, CONFIG]
            .into_iter()
            .filter_map(|path| Some((path.to_owned(), free_bytes(&machine.path(path))?)))
            .collect(),
        tcp: listening(&["/proc/net/tcp", "/proc/net/tcp6"], Some(LISTENING), &programs),
        udp: listening(&["/proc/net/udp", "/proc/net/udp6"], None, &programs),
        host: machine.text("/proc/sys/kernel/hostname").trim().to_owned(),
        addresses: addresses(),
        clock_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        clock_synchronised: clock_synchronised(),
        missing_tools: TOOLS.iter().filter(missing).map(|tool| (*tool).to_owned()).collect(),
        resolvers: name_servers(&machine.text(RESOLV_CONF)),
        installed,
        in_the_way: in_the_way.into_iter().map(str::to_owned).collect(),
        others: [("DC/OS", "/opt/mesosphere"), ("Mesos", "/var/lib/mesos")]
            .into_iter()
            .filter(|(_, path)| has_entries(&machine.path(path)))
            .map(|(name, path)| format!("{name} ({path})"))
            .collect(),
        detected_address: detect(ask.ip_detect.as_deref(), "ip_detect", |text| {
            text.parse().with_context(|| format!("ip_detect printed '{text}', not one address"))
        })?,
        detected_fault_domain: detect(
            ask.fault_domain_detect.as_deref(),
            "fault_domain_detect",
            fault_domain,
        )?,
    })
}

fn has_entries(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// The version of the systemd that runs the machine; 0 where it does not.
pub(super) fn systemd_version(machine: &Machine) -> u32 {
    if machine.is_live() && !Path::new("/run/systemd/system").is_dir() {
        return 0;
    }
    let Ok(text) = run(Command::new("systemctl").arg("--version")) else { return 0 };
    text.split_whitespace().nth(1).and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn cgroups() -> BTreeSet<String> {
    if let Ok(text) = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        return text.split_whitespace().map(str::to_owned).collect();
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let v1 = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup"));
    let options = v1.filter_map(|line| line.split(' ').nth(3)).flat_map(|text| text.split(','));
    options.map(str::to_owned).collect()
}

fn selinux() -> Option<String> {
    let enforce = fs::read_to_string("/sys/fs/selinux/enforce").ok()?;
    Some(if enforce.trim() == "1" { "enforcing" } else { "permissive" }.to_owned())
}

fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Free space at a path, or where it would be made.
fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Sockets by their number and whose they are.
fn socket_owners() -> BTreeMap<u64, String> {
    let mut owners = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        for link in files.flatten().filter_map(|file| fs::read_link(file.path()).ok()) {
            let link = link.display().to_string();
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                owners.insert(inode, name.trim().to_owned());
            }
        }
    }
    owners
}

fn listening(
    files: &[&str],
    state: Option<&str>,
    owners: &BTreeMap<u64, String>,
) -> BTreeMap<u16, String> {
    let mut ports = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, found, .., _] = fields.as_slice() else { continue };
            if state.is_some_and(|state| state != *found) {
                continue;
            }
            let Some((address, port)) = local.split_once(':') else { continue };
            let port = u16::from_str_radix(port, 16).ok();
            if port.is_some_and(|port| is_out_of_the_way(address, port)) {
                continue;
            }
            let inode = fields.get(9).and_then(|inode| inode.parse().ok()).unwrap_or(0);
            if let Some(port) = port {
                ports.insert(port, owners.get(&inode).cloned().unwrap_or_default());
            }
        }
    }
    ports
}

/// Loopback addresses that nobody of ours listens on, as local caches of names do.
fn is_out_of_the_way(address: &str, port: u16) -> bool {
    const DNS: u16 = 53;
    // The kernel writes the number as the processor has it.
    let number = (address.len() == 8).then(|| u32::from_str_radix(address, 16).ok()).flatten();
    let address = number.map(|number| Ipv4Addr::from(number.to_ne_bytes()));
    address.is_some_and(|address| {
        address.is_loopback() && (port == DNS || address != Ipv4Addr::LOCALHOST)
    })
}

fn addresses() -> BTreeSet<IpAddr> {
    let text = run(Command::new("ip").args(["-oneline", "address", "show"])).unwrap_or_default();
    let mut addresses = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip_while(|word| !word.starts_with("inet"));
        let address: Option<IpAddr> =
            words.nth(1).and_then(|text| text.split('/').next()?.parse().ok());
        addresses.extend(address.filter(|address| *address != IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    addresses.remove(&IpAddr::V6(Ipv6Addr::LOCALHOST));
    addresses
}

fn clock_synchronised() -> Option<bool> {
    let text =
        run(Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]));
    match text.ok()?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Runs a script of the administrator and reads its first line.
fn detect<T>(
    script: Option<&str>,
    key: &str,
    read: impl Fn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let Some(script) = script else { return Ok(None) };
    if script.len() > SCRIPT_BYTES_MAX {
        bail!("{key} is longer than {SCRIPT_BYTES_MAX} bytes");
    }
    let file =
        tempfile::Builder::new().prefix("karman-").tempfile().context("cannot write a script")?;
    fs::write(file.path(), script)?;
    let rights = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(file.path(), rights)?;
    // A file that is open for writing cannot be run.
    let path = file.into_temp_path();
    let output = Command::new(&path).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {key}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{key} failed ({}): {}", output.status, said.trim());
    }
    read(String::from_utf8_lossy(&output.stdout).trim()).map(Some)
}

fn fault_domain(text: &str) -> anyhow::Result<String> {
    let value: serde_json::Value =
        serde_json::from_str(text).context("fault_domain_detect printed no JSON")?;
    let part = |name: &str| value.pointer(&format!("/fault_domain/{name}/name"))?.as_str();
    match (part("region"), part("zone")) {
        (Some(region), Some(zone)) => Ok(format!("{region}/{zone}")),
        _ => bail!("fault_domain_detect printed neither region nor zone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_names_are_not_in_the_way() {
        assert!(is_out_of_the_way("3500007F", 53), "127.0.0.53");
        assert!(is_out_of_the_way("0100007F", 53));
        assert!(!is_out_of_the_way("0100007F", 8080));
        assert!(!is_out_of_the_way("00000000", 53));
        assert!(!is_out_of_the_way("0B004D0A", 53), "10.77.0.11");
        assert!(!is_out_of_the_way("00000000000000000000000000000000", 53));
    }
}
