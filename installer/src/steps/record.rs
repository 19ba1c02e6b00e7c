//! What the record says before and after each step. Pure.
#![deny(clippy::disallowed_methods)]

use super::{Original, Record, Setting, Step, UNIT_FOLDER};

impl Record {
    /// Whether what is at the path must be noted before it is replaced.
    pub fn needs_original(&self, path: &str) -> bool {
        !self.put.contains_key(path) && !self.is_ours(path)
    }

    /// Whether a path is in a folder that is ours as a whole.
    pub fn is_ours(&self, path: &str) -> bool {
        let inside = |tree: &String| {
            path.strip_prefix(tree.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.trees.iter().any(inside)
    }

    /// Notes what a step is about to do. `original` is what a `Put` finds,
    /// `before` what a `SetSysctl` finds.
    pub fn intend(&mut self, step: &Step, original: Option<Original>, before: Option<String>) {
        match step {
            Step::AddGroup { name } => drop(self.groups.insert(name.clone())),
            Step::AddUser { name, .. } => drop(self.users.insert(name.clone())),
            Step::Put { path, entry: _ } => {
                if self.needs_original(path) {
                    self.put.insert(path.clone(), original.unwrap_or(Original::Nothing));
                }
                self.reload |= path.starts_with(UNIT_FOLDER);
            }
            Step::Restore { path, .. } => self.reload |= path.starts_with(UNIT_FOLDER),
            Step::SetSysctl { key, .. } => {
                let before = before.unwrap_or_default();
                let entry = self.sysctl.entry(key.clone());
                entry.or_insert(Setting { before, refused: false });
            }
            Step::Unpack { .. }
            | Step::Reload
            | Step::ResetSysctl { .. }
            | Step::Start { .. }
            | Step::Await { .. }
            | Step::Stop { .. }
            | Step::EndTasks
            | Step::DropAddresses
            | Step::RemoveUser { .. }
            | Step::RemoveGroup { .. }
            | Step::RemoveTree { .. } => {}
        }
    }

    /// Notes that a step is done.
    pub fn done(&mut self, step: &Step) {
        match step {
            Step::Restore { path, .. } => drop(self.put.remove(path)),
            Step::Reload => self.reload = false,
            Step::ResetSysctl { key, .. } => drop(self.sysctl.remove(key)),
            Step::Start { unit, fingerprint } => {
                self.started.insert(unit.clone(), fingerprint.clone());
            }
            Step::Stop { unit } => drop(self.started.remove(unit)),
            Step::RemoveUser { name } => drop(self.users.remove(name)),
            Step::RemoveGroup { name } => drop(self.groups.remove(name)),
            Step::RemoveTree { path } => self.trees.retain(|tree| tree != path),
            Step::AddGroup { .. }
            | Step::AddUser { .. }
            | Step::Put { .. }
            | Step::Unpack { .. }
            | Step::SetSysctl { .. }
            | Step::Await { .. }
            | Step::EndTasks
            | Step::DropAddresses => {}
        }
    }

    /// Notes that the machine does not let us set this.
    pub fn refused(&mut self, key: &str) {
        if let Some(setting) = self.sysctl.get_mut(key) {
            setting.refused = true;
        }
    }
}
