//! From what a machine is to what it shall be: the steps between. Pure.
//!
//! Steps are so specific that whoever carries them out decides nothing, and each
//! may be repeated. A plan that was interrupted is not resumed: the machine is
//! looked at again and the rest is planned anew. Carrying a plan out leaves
//! nothing to plan, and planning for nothing (an empty [`Wanted`]) takes
//! everything back that the [`Record`] knows of.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;

mod model;
mod record;

pub use model::{
    Activity, Content, Entry, Found, Identity, Observed, Original, Record, Rights, Setting, Unit,
    Wanted,
};

/// Where systemd looks for units of the administrator.
const UNIT_FOLDER: &str = "/etc/systemd/system/";

const RELEASES: &str = "/opt/karman/releases/";

/// A carried file and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub path: String,
    pub to: String,
    pub rights: Rights,
    pub sha256: String,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    AddGroup {
        name: String,
    },
    AddUser {
        name: String,
        group: String,
    },
    /// Makes or corrects what is at a path.
    Put {
        path: String,
        entry: Entry,
    },
    /// The carried files, all in one go: they lie in one stream.
    Unpack {
        files: Vec<Carried>,
    },
    /// Puts back what was there before.
    Restore {
        path: String,
        original: Original,
    },
    /// Lets systemd read the unit files again.
    Reload,
    SetSysctl {
        key: String,
        value: String,
    },
    ResetSysctl {
        key: String,
        value: String,
    },
    /// Starts it, or restarts it where it runs; does not wait.
    Start {
        unit: String,
        fingerprint: String,
    },
    Await {
        unit: String,
    },
    Stop {
        unit: String,
    },
    /// Ends what runs below the agent's shims.
    EndTasks,
    /// Takes the addresses of the name server from the machine.
    DropAddresses,
    RemoveUser {
        name: String,
    },
    RemoveGroup {
        name: String,
    },
    RemoveTree {
        path: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddGroup { name } => write!(f, "add group {name}"),
            Self::AddUser { name, group } => write!(f, "add user {name} of group {group}"),
            Self::Put { path, entry } => write!(f, "put {path}: {entry:?}"),
            Self::Unpack { files } => {
                write!(f, "unpack")?;
                files.iter().try_for_each(|file| write!(f, " {}", file.to))
            }
            Self::Restore { path, original: Original::Nothing } => write!(f, "remove {path}"),
            Self::Restore { path, .. } => write!(f, "restore {path}"),
            Self::Reload => write!(f, "reload systemd"),
            Self::SetSysctl { key, value } => write!(f, "set {key} to {value}"),
            Self::ResetSysctl { key, value } => write!(f, "set {key} back to {value}"),
            Self::Start { unit, .. } => write!(f, "start {unit}"),
            Self::Await { unit } => write!(f, "await {unit}"),
            Self::Stop { unit } => write!(f, "stop {unit}"),
            Self::EndTasks => write!(f, "end tasks"),
            Self::DropAddresses => write!(f, "drop the addresses of the name server"),
            Self::RemoveUser { name } => write!(f, "remove user {name}"),
            Self::RemoveGroup { name } => write!(f, "remove group {name}"),
            Self::RemoveTree { path } => write!(f, "remove all of {path}"),
        }
    }
}

/// The steps from `observed` to `wanted`.
pub fn plan(observed: &Observed, wanted: &Wanted) -> Vec<Step> {
    let planner = Planner { observed, wanted, record: &observed.record };
    let mut steps = Vec::new();
    planner.take_back_services(&mut steps);
    planner.take_back_entries(&mut steps);
    planner.people(&mut steps);
    planner.entries(&mut steps);
    planner.kernel(&mut steps);
    planner.services(&mut steps);
    planner.late(&mut steps);
    planner.old_releases(&mut steps);
    planner.take_back_people(&mut steps);
    steps
}

struct Planner<'a> {
    observed: &'a Observed,
    wanted: &'a Wanted,
    record: &'a Record,
}

impl Planner<'_> {
    fn is_wanted(&self, path: &str) -> bool {
        self.wanted.entries.contains_key(path) || self.wanted.late.contains_key(path)
    }

    fn is_unit_wanted(&self, name: &str) -> bool {
        self.wanted.units.iter().any(|unit| unit.name == name)
    }

    /// Whether all that is ours goes.
    fn nothing_wanted(&self) -> bool {
        self.wanted.trees.is_empty()
    }

    fn take_back_services(&self, steps: &mut Vec<Step>) {
        // Names first: the machine must not ask a server that is gone.
        for (path, original) in &self.record.put {
            if path == crate::layout::RESOLV_CONF && !self.is_wanted(path) {
                steps.push(Step::Restore { path: path.clone(), original: original.clone() });
            }
        }
        let started = self.record.started.keys().filter(|name| !self.is_unit_wanted(name));
        let mut started: Vec<&String> = started.collect();
        started.sort_by_key(|name| crate::layout::start_order(name));
        for unit in started.iter().rev() {
            steps.push(Step::Stop { unit: (*unit).clone() });
        }
        if self.nothing_wanted() && !self.record.trees.is_empty() {
            steps.extend([Step::EndTasks, Step::DropAddresses]);
        }
    }

    fn take_back_entries(&self, steps: &mut Vec<Step>) {
        let mut units_changed = false;
        for (path, original) in self.record.put.iter().rev() {
            if self.is_wanted(path) || path == crate::layout::RESOLV_CONF {
                continue;
            }
            units_changed |= path.starts_with(UNIT_FOLDER);
            steps.push(Step::Restore { path: path.clone(), original: original.clone() });
        }
        if self.nothing_wanted() {
            if units_changed || self.record.reload {
                steps.push(Step::Reload);
            }
            for (key, Setting { before, refused }) in &self.record.sysctl {
                if !refused {
                    steps.push(Step::ResetSysctl { key: key.clone(), value: before.clone() });
                }
            }
        }
    }

    fn people(&self, steps: &mut Vec<Step>) {
        for name in &self.wanted.groups {
            if !self.observed.groups.contains(name) {
                steps.push(Step::AddGroup { name: name.clone() });
            }
        }
        for (name, group) in &self.wanted.users {
            if !self.observed.users.contains(name) {
                steps.push(Step::AddUser { name: name.clone(), group: group.clone() });
            }
        }
    }

    fn entries(&self, steps: &mut Vec<Step>) {
        let lacking: BTreeMap<&String, &Entry> =
            self.wanted.entries.iter().filter(|(path, entry)| !self.is(path, entry)).collect();
        let (mut carried, mut rest) = (Vec::new(), Vec::new());
        for (path, entry) in lacking {
            let put = Step::Put { path: path.clone(), entry: entry.clone() };
            match entry {
                // Sorted by path, a folder comes before what is in it.
                Entry::Folder(_) | Entry::Shared => steps.push(put),
                Entry::File { rights, content: Content::Carried { path: from, sha256 } } => {
                    carried.push(Carried {
                        path: from.clone(),
                        to: path.clone(),
                        rights: rights.clone(),
                        sha256: sha256.clone(),
                    });
                }
                // Links last: what they lead to must be whole.
                Entry::File { content: Content::Text(_), .. } => rest.push((false, put)),
                Entry::Link { .. } => rest.push((true, put)),
            }
        }
        if !carried.is_empty() {
            steps.push(Step::Unpack { files: carried });
        }
        rest.sort_by_key(|(is_link, _)| *is_link);
        steps.extend(rest.into_iter().map(|(_, put)| put));
    }

    /// Whether a path is as it shall be.
    fn is(&self, path: &str, entry: &Entry) -> bool {
        match (entry, self.observed.found.get(path)) {
            (Entry::Shared, found) => found.is_some(),
            (Entry::Folder(rights), Some(Found::Folder(found))) => rights == found,
            (Entry::File { rights, content }, Some(Found::File { rights: found, sha256 })) => {
                rights == found && content.sha256() == *sha256
            }
            (Entry::Link { target }, Some(Found::Link { target: found })) => target == found,
            (Entry::Folder(_) | Entry::File { .. } | Entry::Link { .. }, _) => false,
        }
    }

    fn kernel(&self, steps: &mut Vec<Step>) {
        for (key, value) in &self.wanted.sysctl {
            let refused = self.record.sysctl.get(key).is_some_and(|setting| setting.refused);
            // What the machine does not have cannot be set.
            let differs = self.observed.sysctl.get(key).is_some_and(|found| found != value);
            if differs && !refused {
                steps.push(Step::SetSysctl { key: key.clone(), value: value.clone() });
            }
        }
    }

    fn services(&self, steps: &mut Vec<Step>) {
        if self.nothing_wanted() {
            return;
        }
        let puts_unit = |step: &Step| match step {
            Step::Put { path, .. } | Step::Restore { path, .. } => path.starts_with(UNIT_FOLDER),
            _ => false,
        };
        if self.record.reload || steps.iter().any(puts_unit) {
            steps.push(Step::Reload);
        }
        let mut awaited = Vec::new();
        for Unit { name, fingerprint } in &self.wanted.units {
            let activity = self.observed.units.get(name).copied().unwrap_or(Activity::Inactive);
            let same = self.record.started.get(name) == Some(fingerprint);
            if activity == Activity::Inactive || !same {
                let (unit, fingerprint) = (name.clone(), fingerprint.clone());
                steps.push(Step::Start { unit, fingerprint });
            } else if activity == Activity::Active {
                continue;
            }
            awaited.push(Step::Await { unit: name.clone() });
        }
        steps.extend(awaited);
    }

    fn late(&self, steps: &mut Vec<Step>) {
        for (path, entry) in &self.wanted.late {
            if !self.is(path, entry) {
                steps.push(Step::Put { path: path.clone(), entry: entry.clone() });
            }
        }
    }

    /// The present release and the one before it stay.
    fn old_releases(&self, steps: &mut Vec<Step>) {
        let Some(release) = &self.wanted.release else { return };
        for old in &self.observed.releases {
            if old != release && self.record.before.as_ref() != Some(old) {
                steps.push(Step::RemoveTree { path: format!("{RELEASES}{old}") });
            }
        }
    }

    fn take_back_people(&self, steps: &mut Vec<Step>) {
        for name in &self.record.users {
            if !self.wanted.users.iter().any(|(user, _)| user == name) {
                steps.push(Step::RemoveUser { name: name.clone() });
            }
        }
        for name in &self.record.groups {
            if !self.wanted.groups.contains(name) {
                steps.push(Step::RemoveGroup { name: name.clone() });
            }
        }
        for path in &self.record.trees {
            if !self.wanted.trees.contains(path) {
                steps.push(Step::RemoveTree { path: path.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
