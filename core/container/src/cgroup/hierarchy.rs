//! Which control groups this machine has and where ours go.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tracing::warn;

use super::Group;
use crate::process;

/// The folder under the root of each hierarchy that is ours.
const ROOT: &str = "karman";

/// Folders of ours above the hierarchy's root: `karman/<agent>/<container>`.
pub(super) const DEPTH: usize = 3;

/// The mounted hierarchies that hold the controllers we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    V1 {
        cpu: PathBuf,
        cpuacct: PathBuf,
        memory: PathBuf,
        pids: Option<PathBuf>,
        devices: Option<PathBuf>,
        cpuset: Option<PathBuf>,
        blkio: Option<PathBuf>,
    },
    V2 {
        root: PathBuf,
    },
}

impl Hierarchy {
    /// From the text of `/proc/self/mounts`.
    pub fn detect(mounts: &str) -> Option<Self> {
        let v1 = |controller: &str| {
            mounts.lines().map(fields).find_map(|(point, kind, options)| {
                (kind == "cgroup" && options.split(',').any(|option| option == controller))
                    .then(|| PathBuf::from(point))
            })
        };
        if let (Some(cpu), Some(memory)) = (v1("cpu"), v1("memory")) {
            let cpuacct = v1("cpuacct").unwrap_or_else(|| cpu.clone());
            return Some(Self::V1 {
                cpu,
                cpuacct,
                memory,
                pids: v1("pids"),
                devices: v1("devices"),
                cpuset: v1("cpuset"),
                blkio: v1("blkio"),
            });
        }
        mounts
            .lines()
            .map(fields)
            .find(|(_, kind, _)| *kind == "cgroup2")
            .map(|(point, _, _)| Self::V2 { root: point.into() })
    }

    /// The group of one container of one agent.
    pub fn group(&self, agent: &str, container: &str) -> Group {
        let below = Path::new(ROOT).join(agent).join(container);
        match self {
            Self::V1 { cpu, cpuacct, memory, pids, devices, cpuset, blkio } => {
                let of = |root: &Option<PathBuf>| root.as_ref().map(|root| root.join(&below));
                Group {
                    unified: false,
                    cpu: cpu.join(&below),
                    cpuacct: cpuacct.join(&below),
                    memory: memory.join(&below),
                    pids: of(pids),
                    devices: of(devices),
                    cpuset: of(cpuset),
                    blkio: of(blkio),
                }
            }
            Self::V2 { root } => {
                let folder = root.join(below);
                Group {
                    unified: true,
                    cpu: folder.clone(),
                    cpuacct: folder.clone(),
                    memory: folder.clone(),
                    pids: Some(folder.clone()),
                    devices: Some(folder.clone()),
                    cpuset: Some(folder.clone()),
                    blkio: Some(folder),
                }
            }
        }
    }

    /// Ends what runs in the groups of an agent's containers that are not
    /// `known`, and removes them: their records are gone, so nobody else will.
    pub fn sweep(&self, agent: &str, known: &BTreeSet<String>) {
        for container in self.containers(agent).difference(known) {
            warn!(container, "a control group without a container is removed");
            let group = self.group(agent, container);
            for number in group.processes() {
                process::signal(number, Signal::KILL);
            }
            group.remove();
        }
    }

    /// The containers of an agent that have groups.
    fn containers(&self, agent: &str) -> BTreeSet<String> {
        let roots = match self {
            Self::V1 { cpu, cpuacct, memory, pids, devices, cpuset, blkio } => {
                let optional = [pids, devices, cpuset, blkio].into_iter().flatten();
                [cpu, cpuacct, memory].into_iter().chain(optional).collect()
            }
            Self::V2 { root } => BTreeSet::from([root]),
        };
        let folders = roots.into_iter().filter_map(|root| {
            // Absent where none has been made since the machine started.
            fs::read_dir(root.join(ROOT).join(agent)).ok()
        });
        folders
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Whether this process may create groups and limit them.
    pub fn probe(&self, agent: &str) -> io::Result<()> {
        let group = self.group(agent, &format!("probe-{}", std::process::id()));
        let limits = super::Limits {
            cpu_shares: 2,
            cpu_quota_us: Some(super::CFS_PERIOD_US),
            memory_bytes: Some(64 << 20),
            ..super::Limits::default()
        };
        let result = group.create(&limits);
        group.remove();
        result.map_err(|error| error.source)
    }

    /// What this process can use; why not, otherwise.
    pub fn usable(agent: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let hierarchy = Self::detect(&mounts).ok_or("no control groups are mounted")?;
        hierarchy.probe(agent).map_err(|error| error.to_string())?;
        Ok(hierarchy)
    }
}

/// Mount point, kind and options of a line.
fn fields(line: &str) -> (&str, &str, &str) {
    let mut fields = line.split(' ').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    (next(), next(), next())
}
