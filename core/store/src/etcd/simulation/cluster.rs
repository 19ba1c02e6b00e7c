//! etcd as its clients see it: one history of revisions, leases, compaction, and
//! an operator who restores older states.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::etcd::machines::call::{Answer, Call, Compare, Found, Lease, Op, Outcome, Txn};
use crate::etcd::machines::follow::{Changed, Checked};

/// Everything that a backup contains.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) revision: i64,
    pub(super) data: BTreeMap<String, Found>,
    bound: BTreeMap<String, Lease>,
    leases: BTreeMap<Lease, Granted>,
    /// What each revision changed, from the first one kept.
    history: BTreeMap<i64, Vec<(String, Option<Bytes>)>>,
    compacted: i64,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    ttl: u64,
    ends: u64,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) state: State,
    pub(super) id: u64,
    /// Counts restored backups; nobody but the checker knows.
    pub(super) timeline: u64,
    leases_granted: Lease,
}

/// What the world must know about a request that was carried out.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) outcome: Outcome,
    /// The transaction, where it was applied.
    pub(super) applied: Option<Txn>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let state = State { revision: 1, ..State::default() };
        Self { state, id: 1, timeline: 0, leases_granted: 0 }
    }

    pub(super) fn serve(&mut self, now: u64, call: Call) -> Served {
        let answer = match call {
            Call::Read(keys) => Answer::Read { found: self.read(&keys) },
            Call::Txn(txn) => return self.txn(txn),
            Call::Grant { ttl } => {
                self.leases_granted += 1;
                let lease = self.leases_granted;
                let ms = u64::try_from(ttl.as_millis()).unwrap();
                self.state.leases.insert(lease, Granted { ttl: ms, ends: now + ms });
                Answer::Granted { lease, ttl }
            }
            Call::KeepAlive(lease) => {
                let ttl = self.state.leases.get_mut(&lease).map_or(0, |granted| {
                    granted.ends = now + granted.ttl;
                    granted.ttl
                });
                Answer::Alive { ttl: std::time::Duration::from_millis(ttl) }
            }
            Call::Revoke(lease) => {
                if !self.state.leases.contains_key(&lease) {
                    return Served { outcome: Outcome::LeaseGone, applied: None };
                }
                self.end(lease);
                Answer::Revoked
            }
        };
        Served { outcome: Outcome::Answered(answer), applied: None }
    }

    fn read(&self, keys: &[String]) -> Vec<Option<Found>> {
        keys.iter().map(|key| self.state.data.get(key).cloned()).collect()
    }

    fn txn(&mut self, txn: Txn) -> Served {
        if !txn.compare.iter().all(|compare| self.holds(compare)) {
            let found = self.read(&txn.otherwise);
            let answer = Answer::Txn { applied: false, revision: self.state.revision, found };
            return Served { outcome: Outcome::Answered(answer), applied: None };
        }
        let dead = |op: &Op| matches!(op, Op::Put { lease: Some(lease), .. } if !self.state.leases.contains_key(lease));
        if txn.then.iter().any(dead) {
            return Served { outcome: Outcome::LeaseGone, applied: None };
        }
        let changes = txn.then.iter().map(|op| match op {
            Op::Put { key, value, lease } => (key.clone(), Some(value.clone()), *lease),
            Op::Delete { key } => (key.clone(), None, None),
        });
        self.apply(changes.collect());
        let revision = self.state.revision;
        let answer = Answer::Txn { applied: true, revision, found: vec![] };
        Served { outcome: Outcome::Answered(answer), applied: Some(txn) }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let found = |key: &String| self.state.data.get(key);
        match compare {
            Compare::Missing { key } => found(key).is_none(),
            Compare::ValueIs { key, value } => {
                found(key).is_some_and(|found| found.value == *value)
            }
            Compare::ValueBelow { key, value } => {
                found(key).is_some_and(|found| found.value < *value)
            }
            Compare::ModifiedAt { key, revision } => {
                found(key).is_some_and(|found| found.revision == *revision)
            }
        }
    }

    fn apply(&mut self, changes: Vec<(String, Option<Bytes>, Option<Lease>)>) {
        let state = &mut self.state;
        state.revision += 1;
        let mut changed = Vec::new();
        for (key, value, lease) in changes {
            state.bound.remove(&key);
            match &value {
                Some(value) => {
                    let found = Found { value: value.clone(), revision: state.revision };
                    state.data.insert(key.clone(), found);
                    lease.map(|lease| state.bound.insert(key.clone(), lease));
                }
                // What is not there leaves no trace when it is deleted.
                None if state.data.remove(&key).is_none() => continue,
                None => {}
            }
            changed.push((key, value));
        }
        state.history.insert(state.revision, changed);
    }

    fn end(&mut self, lease: Lease) {
        self.state.leases.remove(&lease);
        let bound = self.state.bound.iter().filter(|(_, by)| **by == lease);
        let keys: Vec<_> = bound.map(|(key, _)| (key.clone(), None, None)).collect();
        if !keys.is_empty() {
            self.apply(keys);
        }
    }

    /// Ends leases that nobody renewed.
    pub(super) fn expire(&mut self, now: u64) {
        let ended = self.state.leases.iter().filter(|(_, granted)| granted.ends <= now);
        for lease in ended.map(|(lease, _)| *lease).collect::<Vec<_>>() {
            self.end(lease);
        }
    }

    /// Ends a lease before its time, as after a jump of the leader's clock.
    pub(super) fn expire_one(&mut self, which: usize) {
        let leases: Vec<Lease> = self.state.leases.keys().copied().collect();
        if let Some(lease) = leases.get(which % leases.len().max(1)) {
            self.end(*lease);
        }
    }

    /// All leases live on from here, as when etcd elects a leader.
    pub(super) fn extend_leases(&mut self, now: u64) {
        for granted in self.state.leases.values_mut() {
            granted.ends = now + granted.ttl;
        }
    }

    pub(super) fn compact(&mut self, revision: i64) {
        let state = &mut self.state;
        state.compacted = state.compacted.max(revision.min(state.revision));
        state.history = state.history.split_off(&(state.compacted + 1));
    }

    pub(super) fn restore(&mut self, backup: State, now: u64, same_id: bool) {
        self.state = backup;
        self.timeline += 1;
        if !same_id {
            self.id += 1;
        }
        self.extend_leases(now);
    }

    /// What `key` held at a revision.
    pub(super) fn check(&self, key: &str, revision: i64) -> Checked {
        let state = &self.state;
        if revision > state.revision {
            return Checked::Future;
        }
        if revision != 0 && revision < state.compacted {
            return Checked::Compacted;
        }
        let at = if revision == 0 { state.revision } else { revision };
        let found = match state.data.get(key) {
            Some(found) if found.revision <= at => Some(found.clone()),
            _ => self.earlier(key, at),
        };
        Checked::Known { found }
    }

    /// From what is left of history; enough for the last change of a watch.
    fn earlier(&self, key: &str, at: i64) -> Option<Found> {
        self.state.history.range(..=at).rev().find_map(|(revision, changes)| {
            let (_, value) = changes.iter().find(|(changed, _)| changed == key)?;
            Some(value.clone().map(|value| Found { value, revision: *revision }))
        })?
    }

    pub(super) fn is_compacted(&self, from: i64) -> bool {
        from <= self.state.compacted
    }

    /// Everything under a prefix that changed in these revisions.
    pub(super) fn changes(&self, prefix: &str, from: i64, to: i64) -> Vec<Changed> {
        let revisions = self.state.history.range(from..=to.max(from - 1).max(from));
        revisions
            .filter(|(revision, _)| **revision <= to)
            .flat_map(|(revision, changes)| {
                let under = changes.iter().filter(|(key, _)| key.starts_with(prefix));
                under.map(|(key, value)| Changed {
                    key: key.clone(),
                    value: value.clone(),
                    revision: *revision,
                })
            })
            .collect()
    }

    pub(super) fn under(&self, prefix: &str) -> BTreeMap<String, Bytes> {
        let range = self.state.data.range(prefix.to_owned()..);
        range
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, found)| (key.clone(), found.value.clone()))
            .collect()
    }

    pub(super) fn keys(&self, prefix: &str) -> BTreeSet<String> {
        self.under(prefix).into_keys().collect()
    }
}
