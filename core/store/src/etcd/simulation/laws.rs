//! What must hold, judged from the history and not from what the machines say.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::etcd::machines::call::{Op, Txn};
use crate::etcd::machines::candidate::Failure;
use crate::etcd::machines::record::Record;

pub(super) const FENCE: &str = "/k/fence/test";
pub(super) const DATA: &str = "/k/data/";
/// A commit puts a key of its own here, besides those that all commits share.
pub(super) const MARK: &str = "/k/data/mark/";

/// A commit that somebody asked for.
#[derive(Debug)]
struct Commit {
    nonce: u128,
    keys: Vec<String>,
    applied: Option<(u64, i64)>,
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stored,
    NotAvailable,
    Fenced,
}

/// The history of one run.
#[derive(Debug, Default)]
pub(super) struct Laws {
    commits: BTreeMap<u64, Commit>,
    /// What was acknowledged and not taken back by an operator.
    promised: BTreeSet<u64>,
    /// The last fence that was written, and the last commit under it.
    fence: Option<Record>,
    last: BTreeMap<u128, u64>,
}

pub(super) fn id_of(value: &Bytes) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

impl Laws {
    pub(super) fn asked(&mut self, nonce: u128, keys: Vec<String>) -> u64 {
        let id = self.commits.len() as u64 + 1;
        self.commits.insert(id, Commit { nonce, keys, applied: None, told: None });
        id
    }

    /// A transaction was applied.
    pub(super) fn applied(&mut self, timeline: u64, revision: i64, txn: &Txn) {
        let puts: BTreeMap<&str, &Bytes> = txn
            .then
            .iter()
            .filter_map(|op| match op {
                Op::Put { key, value, .. } => Some((key.as_str(), value)),
                Op::Delete { .. } => None,
            })
            .collect();
        let record = puts.get(FENCE).expect("each transaction writes the fence");
        let record = Record::decode(record).unwrap();
        self.fence_moves(record);
        let marks: BTreeSet<u64> = puts
            .iter()
            .filter(|(key, _)| key.starts_with(MARK))
            .map(|(_, value)| id_of(value))
            .collect();
        for id in &marks {
            let commit = self.commits.get_mut(id).unwrap();
            assert_eq!(commit.nonce, record.nonce, "{id} was written by another");
            assert_ne!(commit.told, Some(Told::Fenced), "{id} was told to be fenced");
            let before = commit.applied.replace((timeline, revision));
            assert!(before.is_none_or(|(at, _)| at < timeline), "{id} was applied twice");
            let last = self.last.insert(record.nonce, *id);
            assert!(last.is_none_or(|last| last < *id), "{id} was applied after {last:?}");
            for key in &commit.keys {
                let value = puts.get(key.as_str()).map(|value| id_of(value));
                assert!(value.is_some_and(|value| value >= *id), "{id} is not whole: {key}");
            }
        }
        for (key, value) in puts.iter().filter(|(key, _)| key.starts_with(DATA)) {
            assert!(marks.contains(&id_of(value)), "{key} is part of no commit");
        }
    }

    /// No two fenced leaders: tokens grow, and sequences under one token.
    fn fence_moves(&mut self, record: Record) {
        if let Some(last) = self.fence.replace(record) {
            let grows = if record.same_leader(&last) {
                record.sequence > last.sequence
            } else {
                record.token > last.token
            };
            assert!(grows, "{record:?} was written after {last:?}");
        }
    }

    pub(super) fn told(&mut self, timeline: u64, id: u64, result: &Result<i64, Failure>) {
        let commit = self.commits.get_mut(&id).unwrap();
        match result {
            Ok(revision) => {
                commit.told = Some(Told::Stored);
                let (applied_in, at) = commit.applied.expect("what is acknowledged is stored");
                assert_eq!(at, *revision, "{id} was stored at another revision");
                if applied_in == timeline {
                    self.promised.insert(id);
                }
            }
            Err(Failure::Fenced) => {
                commit.told = Some(Told::Fenced);
                assert_eq!(commit.applied, None, "{id} was told to be fenced");
            }
            Err(Failure::Unavailable(_)) => commit.told = Some(Told::NotAvailable),
            Err(Failure::TooLarge(reason)) => panic!("{id}: {reason}"),
        }
    }

    /// An operator took back what is not in `marks`.
    pub(super) fn restored(&mut self, fence: Option<&Bytes>, marks: &BTreeSet<String>) {
        self.promised.retain(|id| marks.contains(&format!("{MARK}{id}")));
        self.fence = fence.map(|value| Record::decode(value).unwrap());
        self.last.clear();
        for mark in marks {
            let id = mark.strip_prefix(MARK).unwrap().parse().unwrap();
            let nonce = self.commits[&id].nonce;
            let last = self.last.entry(nonce).or_default();
            *last = (*last).max(id);
        }
    }

    /// Nothing acknowledged is lost.
    pub(super) fn kept(&self, marks: &BTreeSet<String>) {
        for id in &self.promised {
            assert!(marks.contains(&format!("{MARK}{id}")), "{id} was acknowledged and is lost");
        }
    }

    /// The leader of this nonce was told that it is deposed.
    pub(super) fn lost(&self, nonce: u128, restored_since: bool) {
        let deposed = self.fence.is_none_or(|fence| fence.nonce != nonce);
        assert!(deposed || restored_since, "a leader stepped down for nothing");
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.commits.values().filter(|commit| commit.told == Some(Told::Stored)).count()
    }
}
