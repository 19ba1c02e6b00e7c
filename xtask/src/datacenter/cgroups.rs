//! Control groups of the nodes. All nodes and this machine share one hierarchy;
//! each node is started in a subtree of its own, which is the root of what it sees.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::shape::Name;
use crate::process::say;

const ROOT: &str = "/sys/fs/cgroup";
const KEEPER: &str = "keeper";
/// All nodes together weigh as much as 32 ordinary processes.
const WEIGHTS: [(&str, &str); 2] = [("cpu.shares", "32768"), ("cpu.weight", "3200")];
/// Processes that were killed leave their group a moment later.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// What nodes limit, and so must be passed on where there is one hierarchy.
const UNIFIED_CONTROLLERS: &str = "+cpu +memory +pids +io +cpuset";

/// The mounted hierarchies: one for each controller, or one for all.
#[derive(Debug)]
pub(crate) struct Hierarchies {
    roots: Vec<PathBuf>,
    pub unified: bool,
}

impl Hierarchies {
    pub(crate) fn detect() -> Result<Self> {
        let root = Path::new(ROOT);
        if root.join("cgroup.controllers").exists() {
            return Ok(Self { roots: vec![root.to_owned()], unified: true });
        }
        let mut roots = BTreeSet::new();
        for entry in fs::read_dir(root).with_context(|| format!("cannot read {ROOT}"))? {
            // Links are second names of a hierarchy that several controllers share.
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
                roots.insert(entry.path());
            }
        }
        ensure!(!roots.is_empty(), "no control groups are mounted below {ROOT}");
        Ok(Self { roots: roots.into_iter().collect(), unified: false })
    }

    /// Makes the groups of a node, one in each hierarchy.
    pub(crate) fn create(&self, name: &Name, node: &str) -> Result<Vec<PathBuf>> {
        let mut groups = Vec::new();
        for root in &self.roots {
            let all = below(root, name);
            let group = all.join(node);
            fs::create_dir_all(&group)
                .with_context(|| format!("cannot make the control group {}", group.display()))?;
            if self.unified {
                let keeper = group.join(KEEPER);
                fs::create_dir_all(&keeper)
                    .with_context(|| format!("cannot make {}", keeper.display()))?;
                pass_on(root)?;
                pass_on(&all)?;
            } else {
                inherit_cpus(root, &all, &group)?;
            }
            weigh(&all);
            groups.push(group);
        }
        Ok(groups)
    }

    /// Where what keeps a node running stays, below its group: in the unified
    /// hierarchy a group that has groups has no processes.
    pub(crate) fn keeper(&self) -> String {
        if self.unified { format!("/{KEEPER}") } else { String::new() }
    }

    /// The processes of a node, or of all.
    pub(crate) fn processes(&self, name: &Name, node: Option<&str>) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for root in &self.roots {
            collect(&folder(root, name, node), &mut found);
        }
        found
    }

    /// Removes the groups of a node, or of all; nothing runs in them any more.
    pub(crate) fn remove(&self, name: &Name, node: Option<&str>) -> Result<()> {
        let deadline = Instant::now() + REMOVE_LIMIT;
        for root in &self.roots {
            let group = folder(root, name, node);
            while let Err(error) = remove_tree(&group) {
                if Instant::now() >= deadline {
                    return Err(error).with_context(|| {
                        format!("cannot remove the control group {}", group.display())
                    });
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

fn below(root: &Path, name: &Name) -> PathBuf {
    root.join(format!("karman-datacenter-{name}"))
}

fn folder(root: &Path, name: &Name, node: Option<&str>) -> PathBuf {
    let all = below(root, name);
    node.map_or_else(|| all.clone(), |node| all.join(node))
}

fn pass_on(group: &Path) -> Result<()> {
    let file = group.join("cgroup.subtree_control");
    fs::write(&file, UNIFIED_CONTROLLERS)
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Other processes of this machine count one by one, and a group as one of
/// them: builds beside them would starve the nodes.
fn weigh(all: &Path) {
    for (file, weight) in WEIGHTS {
        let file = all.join(file);
        // There is one in one of the hierarchies.
        if file.exists()
            && let Err(error) = fs::write(&file, weight)
        {
            say(&format!("{} was not written, nodes may be slow: {error}", file.display()));
        }
    }
}

/// A new group of the cpuset controller has no processors, and admits nobody.
fn inherit_cpus(root: &Path, all: &Path, group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(value) = fs::read_to_string(root.join(file)) else { continue };
        for group in [all, group] {
            let file = group.join(file);
            fs::write(&file, &value).with_context(|| format!("cannot write {}", file.display()))?;
        }
        // And neither would those that nodes make below theirs.
        let file = group.join("cgroup.clone_children");
        fs::write(&file, "1").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn collect(group: &Path, found: &mut BTreeSet<i32>) {
    // Groups come and go while they are looked at.
    if let Ok(text) = fs::read_to_string(group.join("cgroup.procs")) {
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for child in children(group) {
        collect(&child, found);
    }
}

fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn remove_tree(group: &Path) -> io::Result<()> {
    for child in children(group) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
