//! A process: a candidate that is started again and again, and a follower of
//! everything that is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::laws;
use crate::Change;
use crate::etcd::machines::Now;
use crate::etcd::machines::candidate::{Candidate, CommitId, Setup};
use crate::etcd::machines::follow::Follow;
use crate::etcd::machines::keys::Keys;
use crate::etcd::machines::timeline::Timeline;

/// Where the wall clocks of all hosts begin.
const EPOCH_MS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// Which life this is; what belongs to an earlier one is forgotten.
    pub(super) life: u64,
    pub(super) up: bool,
    pub(super) paused_until: u64,
    booted: u64,
    /// How wrong its clock is.
    pub(super) clock_ms: i64,
    pub(super) candidate: Option<Candidate>,
    /// When it will be told the time next.
    pub(super) tick_at: Option<u64>,
    pub(super) nonce: u128,
    /// The token under which it leads.
    pub(super) token: Option<u64>,
    /// In which timeline its leadership began.
    pub(super) leads_since: u64,
    pub(super) commits: CommitId,
    pub(super) asked: BTreeMap<CommitId, u64>,
    pub(super) timeline: Timeline,
    pub(super) follower: Follower,
}

/// What a process knows by watching.
#[derive(Debug, Default)]
pub(super) struct Follower {
    pub(super) machine: Option<Follow>,
    pub(super) state: BTreeMap<String, Bytes>,
    /// The newest revision that it was given.
    pub(super) revision: u64,
    pub(super) stream: Option<Stream>,
    /// Which load or stream this is; what belongs to an earlier one is dropped.
    pub(super) round: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) next: i64,
    /// The timeline in which it was opened.
    pub(super) timeline: u64,
}

impl Host {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            life: 0,
            up: false,
            paused_until: 0,
            booted: 0,
            clock_ms: 0,
            candidate: None,
            tick_at: None,
            nonce: 0,
            token: None,
            leads_since: 0,
            commits: 0,
            asked: BTreeMap::new(),
            timeline: Timeline::default(),
            follower: Follower::default(),
        }
    }

    /// A new life, with nothing but the name.
    pub(super) fn boot(&mut self, now: u64) {
        let (name, life, clock_ms) = (self.name.clone(), self.life + 1, self.clock_ms);
        *self = Self { life, clock_ms, up: true, booted: now, ..Self::new(&name) };
    }

    pub(super) fn campaign(&mut self, nonce: u128) {
        self.nonce = nonce;
        self.token = None;
        self.asked.clear();
        self.candidate = Some(Candidate::new(Setup {
            keys: keys(),
            name: "test".into(),
            holder: self.name.clone(),
            nonce,
            ttl: Duration::from_secs(2),
        }));
    }

    pub(super) fn now(&self, now: u64) -> Now {
        let wall = EPOCH_MS.saturating_add(now).saturating_add_signed(self.clock_ms);
        Now { uptime: Duration::from_millis(now - self.booted), wall_ms: wall }
    }

    /// When this host's uptime is that.
    pub(super) fn at(&self, uptime: Duration) -> u64 {
        self.booted + u64::try_from(uptime.as_millis()).unwrap() + 1
    }
}

impl Follower {
    pub(super) fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    self.state.insert(key, value);
                }
                Change::Delete { key } => {
                    self.state.remove(&key);
                }
            }
        }
    }

    /// Whoever saw a commit saw all of it: each shared key holds a commit that
    /// was seen, unless a later one took its place.
    pub(super) fn check(&self) {
        for (key, value) in &self.state {
            let mark = format!("{}{}", laws::MARK, laws::id_of(value));
            assert!(self.state.contains_key(&mark), "{key} is of a commit that was not seen");
        }
    }
}

pub(super) fn keys() -> Keys {
    Keys::new("/k").unwrap()
}
