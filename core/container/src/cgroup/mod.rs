//! Control groups: where a task's processes live, what they may use, what they
//! used. Both generations; the first where its cpu and memory controllers are
//! mounted, since the second then does not have them.

mod devices;
mod hierarchy;
mod limit;
mod stats;

pub use hierarchy::Hierarchy;
pub use stats::Stats;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::Device;

/// The period over which CPU time is metered.
pub(crate) const CFS_PERIOD_US: u64 = 100_000;

/// How often a folder is created again that another container's end removed
/// in between.
const CREATE_ATTEMPTS: usize = 5;

/// How often a group that is still busy is removed again, and how soon.
const REMOVE_ATTEMPTS: usize = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// What the processes of a group may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The weight among other groups: 1024 per cpu.
    pub cpu_shares: u64,
    /// CPU time per period; unlimited if absent.
    pub cpu_quota_us: Option<u64>,
    /// More than this and the kernel kills; unlimited if absent.
    pub memory_bytes: Option<u64>,
    /// Under pressure the kernel reclaims down to this.
    pub memory_soft_bytes: Option<u64>,
    /// On disk, beyond `memory_bytes`; as much as there is if absent.
    #[serde(default)]
    pub swap_bytes: Option<u64>,
    /// Processes and threads at the same time; unlimited if absent.
    #[serde(default)]
    pub pids: Option<u64>,
    /// The processors that are used, as `0-2,7`; any if absent.
    #[serde(default)]
    pub cpuset: Option<String>,
    /// The weight among other groups where disks are busy (1 to 1000), on
    /// kernels that have it.
    #[serde(default)]
    pub blkio_weight: Option<u16>,
}

/// The folders of one group; all the same one in the second generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub unified: bool,
    pub cpu: PathBuf,
    pub cpuacct: PathBuf,
    pub memory: PathBuf,
    /// These where the machine has their controllers.
    #[serde(default)]
    pub pids: Option<PathBuf>,
    #[serde(default)]
    pub devices: Option<PathBuf>,
    /// Made for those only that are limited by them.
    #[serde(default)]
    pub cpuset: Option<PathBuf>,
    #[serde(default)]
    pub blkio: Option<PathBuf>,
}

/// A file of a group could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the control group {}", path.display())]
pub struct Error {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl Group {
    /// All that the group may have.
    fn folders(&self) -> BTreeSet<&Path> {
        let Self { unified: _, cpu, cpuacct, memory, pids, devices, cpuset, blkio } = self;
        let optional = [pids, devices, cpuset, blkio].into_iter().flatten();
        [cpu, cpuacct, memory].into_iter().chain(optional).map(PathBuf::as_path).collect()
    }

    /// Those that a group with these limits needs.
    fn needed(&self, limits: &Limits) -> BTreeSet<&Path> {
        let mut folders = self.folders();
        let unused =
            [(&self.cpuset, limits.cpuset.is_some()), (&self.blkio, limits.blkio_weight.is_some())];
        for (folder, used) in unused {
            if let (Some(folder), false, false) = (folder, used, self.unified) {
                folders.remove(folder.as_path());
            }
        }
        folders
    }

    /// The files that a process writes `0` to in order to enter the group.
    pub fn entrances(&self) -> Vec<PathBuf> {
        let made = self.folders().into_iter().filter(|folder| folder.exists());
        made.map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Creates the group with its limits.
    pub fn create(&self, limits: &Limits) -> Result<(), Error> {
        for folder in self.needed(limits) {
            create_folder(folder).map_err(|source| Error { path: folder.to_owned(), source })?;
        }
        limit::limit(self, limits)
    }

    /// Lets its processes use these devices and no others.
    pub fn allow_devices(&self, devices: &[Device]) -> Result<(), Error> {
        devices::allow(self, devices)
    }

    /// The processes in the group.
    pub fn processes(&self) -> BTreeSet<u32> {
        self.folders().into_iter().flat_map(processes_in).collect()
    }

    /// How many processes the kernel killed because memory ran out.
    pub fn oom_kills(&self) -> u64 {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        field(&self.memory.join(file), "oom_kill").unwrap_or(0)
    }

    /// The most memory that was ever in use.
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        let file = if self.unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        number(&self.memory.join(file))
    }

    /// A group in the group, for those who join it later: limited with all
    /// others, and told from them.
    pub fn session(&self, name: &str) -> PathBuf {
        self.cpu.join(name)
    }

    /// Removes the group, and the folders above it that are ours and empty.
    pub fn remove(&self) {
        for folder in self.folders() {
            if !remove_leaf(folder) {
                continue;
            }
            for folder in folder.ancestors().skip(1).take(hierarchy::DEPTH - 1) {
                // Not empty: another container lives there.
                if fs::remove_dir(folder).is_err() && folder.exists() {
                    break;
                }
            }
        }
    }
}

/// The processes in one folder of a group, without those in the groups below.
pub fn processes_in(folder: &Path) -> BTreeSet<u32> {
    let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|line| line.parse().ok()).collect()
}

/// A group is busy for a moment after its last process has ended.
fn remove_leaf(folder: &Path) -> bool {
    for _ in 0..REMOVE_ATTEMPTS {
        if fs::remove_dir(folder).is_ok() || !folder.exists() {
            return true;
        }
        // Sessions whose shims were killed leave theirs.
        for session in fs::read_dir(folder).into_iter().flatten().flatten() {
            let _not_a_folder = fs::remove_dir(session.path());
        }
        thread::sleep(REMOVE_PAUSE);
    }
    false
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..CREATE_ATTEMPTS {
        result = fs::create_dir_all(folder);
        if result.is_ok() {
            enable_controllers(folder);
            break;
        }
    }
    result
}

/// In the second generation each level hands its controllers down by name.
fn enable_controllers(folder: &Path) {
    for parent in
        folder.ancestors().skip(1).take(hierarchy::DEPTH).collect::<Vec<_>>().into_iter().rev()
    {
        let file = parent.join("cgroup.subtree_control");
        if file.exists() {
            // What cannot be handed down is found when a limit is written.
            for controller in ["+cpu", "+memory", "+pids", "+cpuset", "+io"] {
                let _ignored = fs::write(&file, controller);
            }
        }
    }
}

pub(crate) fn write(path: &Path, value: &impl ToString) -> Result<(), Error> {
    fs::write(path, value.to_string()).map_err(|source| Error { path: path.to_owned(), source })
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number behind `name` in a file of `name number` lines.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests;
