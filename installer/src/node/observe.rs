//! What a machine is, as far as a plan asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::Context as _;

use super::Machine;
use super::machine::systemctl;
use crate::payload::file_sha256;
use crate::steps::{Activity, Found, Observed, Original, Record, Rights, Wanted};

/// A file of somebody else that is replaced is a few lines of text.
const ORIGINAL_BYTES_MAX: u64 = 1 << 20;

const RELEASES: &str = "/opt/karman/releases";

/// The machine with respect to what is wanted of it.
pub(super) fn observe(
    machine: &Machine,
    wanted: &Wanted,
    record: Record,
) -> anyhow::Result<Observed> {
    let (users, groups) = (machine.users(), machine.groups());
    let names = Names::new(&users, &groups);
    let mut found = BTreeMap::new();
    for path in wanted.entries.keys().chain(wanted.late.keys()) {
        if let Some(is) = names.look(machine, path)? {
            found.insert(path.clone(), is);
        }
    }
    let sysctl = wanted.sysctl.keys().filter(|_| machine.is_live());
    let sysctl = sysctl.filter_map(|key| {
        let value = fs::read_to_string(sysctl_path(key)).ok()?;
        Some((key.clone(), value.trim().to_owned()))
    });
    let units: Vec<&str> = wanted.units.iter().map(|unit| unit.name.as_str()).collect();
    let releases = fs::read_dir(machine.path(RELEASES)).into_iter().flatten().flatten();
    Ok(Observed {
        releases: releases
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect::<BTreeSet<_>>(),
        sysctl: sysctl.collect(),
        units: if machine.is_live() { activities(&units)? } else { as_recorded(&record) },
        groups: groups.into_keys().collect::<BTreeSet<_>>(),
        users: users.into_keys().collect::<BTreeSet<_>>(),
        found,
        record,
    })
}

/// Where nothing can be started, what was told to start counts as running.
fn as_recorded(record: &Record) -> BTreeMap<String, Activity> {
    record.started.keys().map(|name| (name.clone(), Activity::Active)).collect()
}

/// The file through which the kernel is set.
pub(super) fn sysctl_path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

/// What units do.
pub(super) fn activities(units: &[&str]) -> anyhow::Result<BTreeMap<String, Activity>> {
    if units.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut arguments = vec!["show", "--property=Id", "--property=ActiveState"];
    arguments.extend(units);
    let text = systemctl(&arguments)?;
    let mut activities = BTreeMap::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let (Some(id), Some(state)) = (field("Id="), field("ActiveState=")) else { continue };
        let activity = match state {
            "active" | "reloading" => Activity::Active,
            "activating" => Activity::Activating,
            _ => Activity::Inactive,
        };
        activities.insert(id.to_owned(), activity);
    }
    Ok(activities)
}

/// Users and groups by number.
pub(super) struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    pub(super) fn new(users: &BTreeMap<String, u32>, groups: &BTreeMap<String, u32>) -> Self {
        let turn = |ids: &BTreeMap<String, u32>| {
            ids.iter().map(|(name, id)| (*id, name.clone())).collect()
        };
        Self { users: turn(users), groups: turn(groups) }
    }

    fn rights(&self, metadata: &fs::Metadata) -> Rights {
        let name = |names: &BTreeMap<u32, String>, id: u32| {
            names.get(&id).cloned().unwrap_or_else(|| id.to_string())
        };
        Rights {
            mode: metadata.permissions().mode() & 0o7777,
            owner: name(&self.users, metadata.uid()),
            group: name(&self.groups, metadata.gid()),
        }
    }

    /// What is at a path.
    pub(super) fn look(&self, machine: &Machine, path: &str) -> anyhow::Result<Option<Found>> {
        let at = machine.path(path);
        let cannot = || format!("cannot look at {}", at.display());
        let metadata = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(cannot),
        };
        Ok(Some(if metadata.is_symlink() {
            let target = fs::read_link(&at).with_context(cannot)?;
            Found::Link { target: target.display().to_string() }
        } else if metadata.is_dir() {
            Found::Folder(self.rights(&metadata))
        } else if metadata.is_file() {
            let sha256 = file_sha256(&at).with_context(cannot)?;
            Found::File { rights: self.rights(&metadata), sha256 }
        } else {
            Found::Other
        }))
    }

    /// What is at a path, so that it can be put back.
    pub(super) fn original(&self, machine: &Machine, path: &str) -> anyhow::Result<Original> {
        let at = machine.path(path);
        Ok(match self.look(machine, path)? {
            None => Original::Nothing,
            Some(Found::Link { target }) => Original::Link { target },
            Some(Found::File { rights, sha256: _ }) => {
                let size = fs::metadata(&at)?.len();
                anyhow::ensure!(
                    size <= ORIGINAL_BYTES_MAX,
                    "{path} is in the way and too large to be kept; move it away and repeat"
                );
                let text = fs::read_to_string(&at)
                    .with_context(|| format!("{path} is in the way and not text; move it away"))?;
                Original::File { rights, text }
            }
            Some(Found::Folder(_) | Found::Other) => anyhow::bail!(
                "{path} is in the way and neither a file nor a link; move it away and repeat"
            ),
        })
    }
}

/// Nothing is there, or not even a folder in which it could be.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
