//! Limits as each generation of control groups takes them.

use std::fs;
use std::io;
use std::path::Path;

use super::{CFS_PERIOD_US, Error, Group, Limits, hierarchy, write};

pub(super) fn limit(group: &Group, limits: &Limits) -> Result<(), Error> {
    if group.unified { unified(&group.memory, limits) } else { first(group, limits) }
}

fn first(group: &Group, limits: &Limits) -> Result<(), Error> {
    let Limits {
        cpu_shares,
        cpu_quota_us,
        memory_bytes,
        memory_soft_bytes,
        swap_bytes,
        pids,
        cpuset,
        blkio_weight,
    } = limits;
    write(&group.cpu.join("cpu.shares"), cpu_shares)?;
    if let Some(quota) = cpu_quota_us {
        write(&group.cpu.join("cpu.cfs_period_us"), &CFS_PERIOD_US)?;
        write(&group.cpu.join("cpu.cfs_quota_us"), quota)?;
    }
    if let Some(bytes) = memory_soft_bytes {
        write(&group.memory.join("memory.soft_limit_in_bytes"), bytes)?;
    }
    if let Some(bytes) = memory_bytes {
        write(&group.memory.join("memory.limit_in_bytes"), bytes)?;
        if let Some(swap) = swap_bytes {
            let sum = bytes.saturating_add(*swap);
            write(&group.memory.join("memory.memsw.limit_in_bytes"), &sum)?;
        }
    }
    if let (Some(number), Some(folder)) = (pids, &group.pids) {
        write(&folder.join("pids.max"), number)?;
    }
    if let (Some(cpus), Some(folder)) = (cpuset, &group.cpuset) {
        inherit_cpuset(folder)?;
        write(&folder.join("cpuset.cpus"), cpus)?;
    }
    if let (Some(weight), Some(folder)) = (blkio_weight, &group.blkio) {
        for name in ["blkio.weight", "blkio.bfq.weight"] {
            present(&folder.join(name), weight)?;
        }
    }
    Ok(())
}

fn unified(folder: &Path, limits: &Limits) -> Result<(), Error> {
    let Limits {
        cpu_shares,
        cpu_quota_us,
        memory_bytes,
        memory_soft_bytes,
        swap_bytes,
        pids,
        cpuset,
        blkio_weight,
    } = limits;
    write(&folder.join("cpu.weight"), &weight(*cpu_shares))?;
    if let Some(quota) = cpu_quota_us {
        write(&folder.join("cpu.max"), &format!("{quota} {CFS_PERIOD_US}"))?;
    }
    if let Some(bytes) = memory_soft_bytes {
        write(&folder.join("memory.low"), bytes)?;
    }
    if let Some(bytes) = memory_bytes {
        write(&folder.join("memory.max"), bytes)?;
        // One container lives and dies as a whole.
        write(&folder.join("memory.oom.group"), &1)?;
        if let Some(swap) = swap_bytes {
            write(&folder.join("memory.swap.max"), swap)?;
        }
    }
    if let Some(number) = pids {
        write(&folder.join("pids.max"), number)?;
    }
    if let Some(cpus) = cpuset {
        write(&folder.join("cpuset.cpus"), cpus)?;
    }
    if let Some(weight) = blkio_weight {
        let value = format!("default {}", io_weight(*weight));
        present(&folder.join("io.weight"), &value)?;
    }
    Ok(())
}

/// Written where the kernel has it.
fn present(path: &Path, value: &impl ToString) -> Result<(), Error> {
    if path.exists() { write(path, value) } else { Ok(()) }
}

/// In the first generation a new group has no processors and no memory: each
/// level takes those of the one above, unless it has some already.
fn inherit_cpuset(folder: &Path) -> Result<(), Error> {
    let levels: Vec<&Path> = folder.ancestors().take(hierarchy::DEPTH).collect();
    for level in levels.into_iter().rev() {
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let file = level.join(name);
            let failed = |source: io::Error| Error { path: file.clone(), source };
            if fs::read_to_string(&file).map_err(failed)?.trim().is_empty() {
                let above = level.parent().unwrap_or(level).join(name);
                let value = fs::read_to_string(&above).map_err(failed)?;
                write(&file, &value.trim().to_owned())?;
            }
        }
    }
    Ok(())
}

/// Shares of the first generation (2..=262144) as a weight of the second
/// (1..=10000), linearly as systemd and runc do.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

/// Weights of the first generation (10..=1000) as those of the second
/// (1..=10000), where the middle of both is the default.
fn io_weight(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_between_the_bounds() {
        assert_eq!([0, 2, 1024, 262_144, 900_000].map(weight), [1, 1, 39, 10_000, 10_000]);
    }

    #[test]
    fn weights_of_disks_stay_between_the_bounds() {
        assert_eq!([0, 10, 500, 1000, 65_535].map(io_weight), [1, 1, 4950, 10_000, 10_000]);
    }
}
