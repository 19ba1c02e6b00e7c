//! Writing under the fence, one transaction at a time.
//!
//! Each transaction compares the fence with the record that this leader wrote
//! last, and writes the next. So of several requests that were sent upon one
//! record at most one ever applies, however late: a transaction without an
//! answer is sent again as it is, and where it was given up the next one either
//! finds its record and goes on from there, or makes it impossible.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::call::Compare;
use super::{
    Answer, Claim, CommitId, Failure, Found, Lease, Op, Outcome, RETRY, Record, Setup, Txn,
};
use crate::Change;
use crate::limits::{self, Checked};

/// The most changes in one transaction of several commits: etcd allows 128
/// operations unless it is told otherwise, and one is the fence.
const BATCH_CHANGES_MAX: usize = 127;
/// The most commits in it: their number is what each of them waits for.
const BATCH_COMMITS_MAX: usize = 256;
/// The most bytes in it; etcd takes 1.5 MiB unless it is told otherwise.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long a commit waits for a store that is away before it says so: longer
/// than etcd takes to elect a leader.
pub(super) const DEADLINE: Duration = Duration::from_secs(8);

type Done = (CommitId, Result<i64, Failure>);

#[derive(Clone, Debug)]
pub(super) struct Writing {
    setup: Setup,
    /// What the fence holds, unless a transaction of unknown end applied.
    confirmed: Record,
    /// The last sequence that was ever sent.
    sequence: u64,
    queue: VecDeque<Waiting>,
    flight: Option<Flight>,
    /// The claim must be written again, not before this time.
    doubt: Option<Duration>,
    /// A transaction was given up whose end is unknown.
    unsettled: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    id: CommitId,
    changes: Checked,
    until: Duration,
}

/// The transaction that is under way.
#[derive(Clone, Debug)]
struct Flight {
    sequence: u64,
    kind: Kind,
    operations: Vec<Op>,
    /// Whether a request was sent whose end is unknown.
    unknown: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Those who wait for it; none once it was given up.
    Commits {
        ids: Vec<CommitId>,
        until: Duration,
    },
    Claim,
    /// Nothing but the fence, to know where we are.
    Settle,
}

/// What an outcome means to others.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) done: Vec<Done>,
    pub(super) lost: bool,
    pub(super) lease_gone: bool,
}

impl Writing {
    pub(super) fn new(setup: Setup, record: Record) -> Self {
        Self {
            setup,
            confirmed: record,
            sequence: record.sequence,
            queue: VecDeque::new(),
            flight: None,
            doubt: None,
            unsettled: false,
        }
    }

    pub(super) fn token(&self) -> u64 {
        self.confirmed.token
    }

    /// Commits that nobody was told about yet.
    pub(super) fn backlog(&self) -> usize {
        let flying = self.flight.as_ref().map_or(0, |flight| match &flight.kind {
            Kind::Commits { ids, .. } => ids.len(),
            Kind::Claim | Kind::Settle => 0,
        });
        self.queue.len() + flying
    }

    pub(super) fn push(&mut self, now: Duration, id: CommitId, changes: Checked) {
        self.queue.push_back(Waiting { id, changes, until: now + DEADLINE });
    }

    /// Something suggests that we lead no more: write the claim, and see.
    pub(super) fn doubt(&mut self) {
        self.doubt = Some(Duration::ZERO);
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        let flying = self.flight.as_ref().and_then(|flight| match &flight.kind {
            Kind::Commits { ids, until } if !ids.is_empty() => Some(*until),
            Kind::Commits { .. } | Kind::Claim | Kind::Settle => None,
        });
        let waiting = self.queue.front().map(|waiting| waiting.until);
        let doubt = self.doubt.filter(|_| self.flight.is_none());
        [flying, waiting, doubt].into_iter().flatten().min()
    }

    /// Answers those who waited too long.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Done> {
        let late = |id| (id, Err(Failure::Unavailable("etcd did not answer in time".into())));
        let mut done = Vec::new();
        if let Some(Flight { kind: Kind::Commits { ids, until }, .. }) = &mut self.flight
            && *until <= now
        {
            done.extend(ids.drain(..).map(late));
        }
        while let Some(waiting) = self.queue.pop_front_if(|waiting| waiting.until <= now) {
            done.push(late(waiting.id));
        }
        done
    }

    /// The transaction to send now, if none is under way.
    pub(super) fn next(&mut self, now: Duration, lease: Option<Lease>) -> Option<Txn> {
        let given_up = |flight: &mut Flight| matches!(&flight.kind, Kind::Commits { ids, .. } if ids.is_empty());
        if self.flight.take_if(given_up).is_some() {
            // The next one finds out what became of it.
            self.unsettled = true;
        }
        if self.flight.is_none() {
            self.flight = self.plan(now, lease);
        }
        let flight = self.flight.as_ref()?;
        let fence = self.setup.keys.fence(&self.setup.name);
        let next = Record { sequence: flight.sequence, ..self.confirmed };
        let mut then = vec![Op::Put { key: fence.clone(), value: next.encode(), lease: None }];
        then.extend(flight.operations.iter().cloned());
        let compare = Compare::ValueIs { key: fence.clone(), value: self.confirmed.encode() };
        Some(Txn { compare: vec![compare], then, otherwise: vec![fence] })
    }

    fn plan(&mut self, now: Duration, lease: Option<Lease>) -> Option<Flight> {
        let (kind, operations) = if let Some(lease) = lease
            && self.doubt.take_if(|not_before| *not_before <= now).is_some()
        {
            let claim = Claim { token: self.token(), holder: self.setup.holder.clone() };
            let key = self.setup.keys.claim(&self.setup.name);
            (Kind::Claim, vec![Op::Put { key, value: claim.encode(), lease: Some(lease) }])
        } else if let Some(until) = self.queue.front().map(|waiting| waiting.until) {
            let (ids, operations) = self.batch();
            (Kind::Commits { ids, until }, operations)
        } else if self.unsettled {
            (Kind::Settle, vec![])
        } else {
            return None;
        };
        self.sequence += 1;
        Some(Flight { sequence: self.sequence, kind, operations, unknown: false })
    }

    /// Takes commits from the queue: as many as one transaction may hold, and at
    /// least one.
    fn batch(&mut self) -> (Vec<CommitId>, Vec<Op>) {
        let (mut ids, mut changes, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(waiting) = self.queue.pop_front_if(|waiting| {
            ids.is_empty()
                || (ids.len() < BATCH_COMMITS_MAX
                    && changes.len() + waiting.changes.changes.len() <= BATCH_CHANGES_MAX
                    && bytes + waiting.changes.bytes <= BATCH_BYTES_MAX)
        }) {
            ids.push(waiting.id);
            bytes += waiting.changes.bytes;
            changes.extend(waiting.changes.changes);
        }
        let operations = limits::latest(changes).into_iter().map(|change| match change {
            Change::Put { key, value } => {
                Op::Put { key: self.setup.keys.data(&key), value, lease: None }
            }
            Change::Delete { key } => Op::Delete { key: self.setup.keys.data(&key) },
        });
        (ids, operations.collect())
    }

    pub(super) fn outcome(&mut self, now: Duration, outcome: Outcome) -> Verdict {
        let Some(flight) = &mut self.flight else { return Verdict::default() };
        match outcome {
            Outcome::Answered(Answer::Txn { applied: true, revision, .. }) => {
                self.applied(revision)
            }
            Outcome::Answered(Answer::Txn { applied: false, found, .. }) => self.differs(found),
            Outcome::LeaseGone => self.refused(now, Failure::Unavailable, "the lease ended", true),
            Outcome::TooLarge { reason } => self.refused(now, Failure::TooLarge, &reason, false),
            Outcome::Refused { reason } => self.refused(now, Failure::Unavailable, &reason, false),
            Outcome::Unknown { .. } | Outcome::Answered(_) => {
                flight.unknown = true;
                Verdict::default()
            }
        }
    }

    fn applied(&mut self, revision: i64) -> Verdict {
        let Some(flight) = self.flight.take() else { return Verdict::default() };
        self.confirmed.sequence = flight.sequence;
        self.unsettled = false;
        let ids = match flight.kind {
            Kind::Commits { ids, .. } => ids,
            Kind::Claim | Kind::Settle => vec![],
        };
        Verdict {
            done: ids.into_iter().map(|id| (id, Ok(revision))).collect(),
            ..Verdict::default()
        }
    }

    /// The fence was not what we wrote last.
    fn differs(&mut self, found: Vec<Option<Found>>) -> Verdict {
        let Some(flight) = &self.flight else { return Verdict::default() };
        let found = found.into_iter().next().flatten();
        let record = found.as_ref().and_then(|found| Record::decode(&found.value));
        match (record, found) {
            (Some(record), Some(found)) if record.same_leader(&self.confirmed) => {
                if record.sequence == flight.sequence {
                    // This one, by an earlier request.
                    return self.applied(found.revision);
                }
                if self.confirmed.sequence < record.sequence && record.sequence <= self.sequence {
                    // One that was given up; go on from there.
                    self.confirmed = record;
                    self.unsettled = false;
                    return Verdict::default();
                }
                self.lost()
            }
            _ => self.lost(),
        }
    }

    /// Somebody else leads, or the store was set back behind what we wrote. An
    /// earlier request of what is under way may have applied before that.
    fn lost(&mut self) -> Verdict {
        let (flying, unknown) = match self.flight.take() {
            Some(Flight { kind: Kind::Commits { ids, .. }, unknown, .. }) => (ids, unknown),
            _ => (vec![], false),
        };
        let reason = "another leader took over before an answer came";
        let flying = flying.into_iter().map(|id| {
            let unknown = unknown.then(|| Failure::Unavailable(reason.into()));
            (id, Err(unknown.unwrap_or(Failure::Fenced)))
        });
        let waiting = self.queue.drain(..).map(|waiting| (waiting.id, Err(Failure::Fenced)));
        Verdict { done: flying.chain(waiting).collect(), lost: true, lease_gone: false }
    }

    /// This request never happens; an earlier one of the same transaction may.
    fn refused(
        &mut self,
        now: Duration,
        failure: fn(String) -> Failure,
        reason: &str,
        lease_gone: bool,
    ) -> Verdict {
        let Some(flight) = self.flight.take() else { return Verdict::default() };
        self.unsettled |= flight.unknown;
        let ids = match flight.kind {
            Kind::Commits { ids, .. } => ids,
            Kind::Claim => {
                self.doubt = Some(now + RETRY);
                vec![]
            }
            Kind::Settle => vec![],
        };
        let failed = |id| (id, Err(failure(reason.to_owned())));
        Verdict { done: ids.into_iter().map(failed).collect(), lost: false, lease_gone }
    }
}
