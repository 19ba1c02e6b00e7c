//! What this machine has and is.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;

use karman_model::quantity::Quantity;
use karman_model::ranges::Ranges;
use karman_model::resource::{Resource, Resources};

/// Left to the system of a machine that has more than twice as much.
const MEMORY_MIB_SPARED: u64 = 1024;
const DISK_MIB_SPARED: u64 = 5 * 1024;

/// The ports that tasks get where nobody says otherwise.
const PORTS: &str = "[31000-32000]";

/// All that can be given to tasks.
pub(crate) fn detect(work_dir: &Path) -> Resources {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = memory_mib().map_or(0, |mib| spare(mib, MEMORY_MIB_SPARED));
    let disk = disk_mib(work_dir).map_or(0, |mib| spare(mib, DISK_MIB_SPARED));
    let mut all = Resources::default();
    for (name, amount) in [("cpus", cpus as u64), ("mem", memory), ("disk", disk)] {
        #[expect(clippy::cast_precision_loss, reason = "a machine has fewer than 2^53 of anything")]
        let amount = Quantity::from_f64(amount as f64);
        if let Ok(amount) = amount {
            all.insert(Resource::scalar(name, amount));
        }
    }
    if let Ok(ports) = Ranges::parse(PORTS) {
        all.insert(Resource::ranges("ports", ports));
    }
    all
}

fn spare(all: u64, spared: u64) -> u64 {
    if all > 2 * spared { all - spared } else { all / 2 }
}

fn memory_mib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Of the file system that holds `path`.
fn disk_mib(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_blocks.saturating_mul(stat.f_frsize) >> 20)
}

/// The part of the file system of `path` that is in use, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a fraction")]
pub(crate) fn disk_used(path: &Path) -> Option<f64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    (stat.f_blocks > 0).then(|| 1.0 - stat.f_bavail as f64 / stat.f_blocks as f64)
}

/// Changes with every boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
