//! What this machine has, and which name servers it uses.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::resources::Machine;

/// Left to the operating system and to Karman itself, where there is enough.
const RESERVED_MIB: u64 = 1024;
/// Left free on the disk, where there is enough.
const RESERVED_DISK_MIB: u64 = 5 * 1024;

/// What agents with work folders below `folder` may give out together.
pub(crate) fn detect(folder: &Path) -> Machine {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let memory = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_mib(&text))
        .unwrap_or(RESERVED_MIB);
    let disk = nix::sys::statvfs::statvfs(folder).map_or(RESERVED_DISK_MIB, |stat| {
        stat.blocks().saturating_mul(stat.fragment_size()) / 1024 / 1024
    });
    Machine {
        cpus,
        mem_mib: usable(memory, RESERVED_MIB),
        disk_mib: usable(disk, RESERVED_DISK_MIB),
    }
}

/// All but the reserve, or half where that is more.
fn usable(total: u64, reserved: u64) -> u64 {
    total.saturating_sub(reserved).max(total / 2)
}

fn total_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// The name servers of `/etc/resolv.conf`.
pub(crate) fn name_servers() -> Vec<SocketAddr> {
    std::fs::read_to_string("/etc/resolv.conf")
        .map(|text| parse_resolv_conf(&text))
        .unwrap_or_default()
}

fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, 53))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_left_but_never_more_than_half() {
        assert_eq!(usable(8000, 1024), 6976);
        assert_eq!(usable(1000, 1024), 500);
        assert_eq!(total_mib("MemTotal:       24513004 kB\nMemFree: 1 kB\n"), Some(23938));
        assert_eq!(total_mib("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn name_servers_are_read() {
        let text =
            "# comment\nnameserver 192.0.2.1\nsearch x\n nameserver 2001:db8::1\nnameserver x\n";
        let expected: Vec<SocketAddr> =
            vec!["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
        assert_eq!(parse_resolv_conf(text), expected);
    }
}
