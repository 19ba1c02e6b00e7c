//! The store as the master sees it: durable once it has answered, slow, now and
//! then away.

use std::collections::BTreeMap;

use bytes::Bytes;
use karman_store::{Change, Entry};

#[derive(Debug, Default)]
pub(super) struct Store {
    entries: BTreeMap<String, Bytes>,
    /// Commits fail until then.
    pub(super) away_until: u64,
    /// Commits of other leaders are refused.
    pub(super) fence: u64,
    pub(super) commits: u64,
}

impl Store {
    pub(super) fn apply(&mut self, changes: &[Change]) {
        self.commits += 1;
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    self.entries.insert(key.clone(), value.clone());
                }
                Change::Delete { key } => {
                    self.entries.remove(key);
                }
            }
        }
    }

    /// Whether the change would change nothing.
    pub(super) fn has(&self, change: &Change) -> bool {
        match change {
            Change::Put { key, value } => self.entries.get(key) == Some(value),
            Change::Delete { key } => !self.entries.contains_key(key),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Bytes> {
        self.entries.get(key)
    }

    pub(super) fn load(&self) -> Vec<Entry> {
        let entry = |(key, value): (&String, &Bytes)| Entry {
            key: key.clone(),
            value: value.clone(),
            revision: self.commits,
        };
        self.entries.iter().map(entry).collect()
    }
}
