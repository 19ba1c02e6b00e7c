//! One who wants to lead a name, and then does.
//!
//! It looks who leads; waits while somebody claims to; takes over by writing a
//! fence of a larger token together with its own claim; then writes under that
//! fence until it resigns or finds the fence to be somebody else's. Claims hang
//! on leases and only say that others should wait: what keeps a deposed leader
//! from writing is the fence in each transaction, whatever the clocks do.
//!
//! At most one request about the fence and one about the lease are under way.

use std::time::Duration;

use super::Now;
use super::call::{Answer, Call, Found, Lease, Op, Outcome, Txn};
use super::keys::Keys;
use super::record::{Claim, Record};
use crate::limits::Checked;

mod taking;
mod writing;

use taking::Seen;
use writing::{Verdict, Writing};

/// Until a campaigner looks again after it could not.
const RETRY: Duration = Duration::from_millis(200);

/// Tells commits apart.
pub(crate) type CommitId = u64;
/// Tells requests apart.
pub(crate) type CallId = u64;

/// What a candidate is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) keys: Keys,
    pub(crate) name: String,
    pub(crate) holder: String,
    /// Drawn by chance, never used twice.
    pub(crate) nonce: u128,
    pub(crate) ttl: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start,
    Commit {
        id: CommitId,
        changes: Checked,
    },
    /// The claim changed, as a watch sees it: the token of the one who claims.
    ClaimSeen(Option<u64>),
    /// The store may have been set back.
    Doubt,
    /// Nobody needs the leadership any more.
    Resign,
    Outcome {
        call: CallId,
        outcome: Outcome,
    },
    /// The time that [`Candidate::wake`] named has come.
    Tick,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Call {
        id: CallId,
        call: Call,
    },
    Leads {
        token: u64,
    },
    /// Somebody else leads; nothing more is stored.
    Lost,
    Done {
        id: CommitId,
        result: Result<i64, Failure>,
    },
    /// Somebody must know this.
    Note(String),
    /// The last effect.
    Ended,
}

/// Why a commit failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Fenced,
    Unavailable(String),
    TooLarge(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    setup: Setup,
    phase: Phase,
    lease: Option<Held>,
    calls: CallId,
    store_call: Option<CallId>,
    lease_call: Option<LeaseCall>,
    /// The lease is not asked for before, after it could not be.
    lease_not_before: Duration,
    effects: Vec<Effect>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Looking who leads, perhaps after an attempt of unknown end.
    Looking {
        attempt: Option<Record>,
        /// The claim went away meanwhile, so what is read may be old.
        again: bool,
    },
    /// Somebody else claims to lead.
    Waiting {
        again: Duration,
    },
    /// Getting a lease for the attempt.
    Granting {
        seen: Seen,
    },
    /// The attempt is under way.
    Taking {
        record: Record,
    },
    Leading {
        writing: Box<Writing>,
        resigning: bool,
    },
    /// Giving the lease back.
    Leaving,
    Ended,
}

/// A lease that was alive when it was last heard of.
#[derive(Clone, Copy, Debug)]
struct Held {
    lease: Lease,
    renew_at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct LeaseCall {
    id: CallId,
    sent: Duration,
}

impl Candidate {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            setup,
            phase: Phase::Looking { attempt: None, again: false },
            lease: None,
            calls: 0,
            store_call: None,
            lease_call: None,
            lease_not_before: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, now: Now, event: Event) -> Vec<Effect> {
        match event {
            Event::Start => self.look(None),
            Event::Commit { id, changes } => self.commit(now, id, changes),
            Event::ClaimSeen(token) => self.claim_seen(token),
            Event::Doubt => {
                if let Phase::Leading { writing, .. } = &mut self.phase {
                    writing.doubt();
                }
            }
            Event::Resign => self.resign(),
            Event::Outcome { call, outcome } => self.outcome(now, call, outcome),
            Event::Tick => {}
        }
        self.advance(now);
        std::mem::take(&mut self.effects)
    }

    /// When to come back with [`Event::Tick`], if nothing happens before.
    pub(crate) fn wake(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting { again } => Some(*again),
            Phase::Leading { writing, .. } => {
                let lease = self.lease_call.is_none().then(|| {
                    let renew_at = self.lease.map(|held| held.renew_at).unwrap_or_default();
                    renew_at.max(self.lease_not_before)
                });
                [writing.wake(), lease].into_iter().flatten().min()
            }
            Phase::Looking { .. }
            | Phase::Granting { .. }
            | Phase::Taking { .. }
            | Phase::Leaving
            | Phase::Ended => None,
        }
    }

    /// Commits that wait; the shell stops bringing more when there are many.
    pub(crate) fn backlog(&self) -> usize {
        match &self.phase {
            Phase::Leading { writing, .. } => writing.backlog(),
            _ => 0,
        }
    }

    fn commit(&mut self, now: Now, id: CommitId, changes: Checked) {
        match &mut self.phase {
            Phase::Leading { writing, .. } => writing.push(now.uptime, id, changes),
            _ => self.effects.push(Effect::Done { id, result: Err(Failure::Fenced) }),
        }
    }

    fn claim_seen(&mut self, token: Option<u64>) {
        match &mut self.phase {
            Phase::Waiting { .. } if token.is_none() => self.look(None),
            Phase::Looking { again, .. } if token.is_none() => *again = true,
            Phase::Leading { writing, .. } if token != Some(writing.token()) => writing.doubt(),
            _ => {}
        }
    }

    fn resign(&mut self) {
        match &mut self.phase {
            Phase::Leading { resigning, .. } => *resigning = true,
            Phase::Leaving | Phase::Ended => {}
            _ => self.leave(),
        }
    }

    fn outcome(&mut self, now: Now, call: CallId, outcome: Outcome) {
        if self.store_call == Some(call) {
            self.store_call = None;
            match &mut self.phase {
                Phase::Looking { attempt, again } => {
                    let (attempt, again) = (*attempt, *again);
                    self.looked(now, attempt, outcome);
                    if again && matches!(self.phase, Phase::Waiting { .. }) {
                        self.look(None);
                    }
                }
                Phase::Taking { record } => {
                    let record = *record;
                    self.took(now, record, outcome);
                }
                Phase::Leading { writing, .. } => {
                    let verdict = writing.outcome(now.uptime, outcome);
                    self.wrote(verdict);
                }
                _ => {}
            }
        } else if let Some(asked) = self.lease_call.take_if(|asked| asked.id == call) {
            self.lease_outcome(now, asked, outcome);
        }
    }

    fn wrote(&mut self, verdict: Verdict) {
        let Verdict { done, lost, lease_gone } = verdict;
        self.effects.extend(done.into_iter().map(|(id, result)| Effect::Done { id, result }));
        if lease_gone {
            self.lease = None;
        }
        if lost {
            self.effects.push(Effect::Lost);
            self.leave();
        }
    }

    fn lease_outcome(&mut self, now: Now, asked: LeaseCall, outcome: Outcome) {
        match outcome {
            Outcome::Answered(Answer::Granted { lease, ttl }) => {
                self.lease = Some(Held { lease, renew_at: asked.sent + ttl / 3 });
                match &mut self.phase {
                    Phase::Granting { seen } => {
                        let seen = seen.clone();
                        self.take(now, &seen, lease);
                    }
                    // The claim hangs on the former one.
                    Phase::Leading { writing, .. } => writing.doubt(),
                    Phase::Leaving => self.leave(),
                    _ => {}
                }
            }
            Outcome::Answered(Answer::Alive { ttl }) if !ttl.is_zero() => {
                if let Some(held) = &mut self.lease {
                    held.renew_at = asked.sent + ttl / 3;
                }
                self.leave_if_leaving();
            }
            Outcome::Answered(_) | Outcome::LeaseGone => {
                self.lease = None;
                self.leave_if_leaving();
            }
            Outcome::Unknown { .. } | Outcome::TooLarge { .. } | Outcome::Refused { .. } => {
                self.lease_not_before = now.uptime + RETRY;
                match self.phase {
                    Phase::Granting { .. } => self.wait(now, RETRY),
                    Phase::Leaving => {
                        // It ends by itself.
                        self.lease = None;
                        self.leave();
                    }
                    _ => {}
                }
            }
        }
    }

    fn leave_if_leaving(&mut self) {
        if matches!(self.phase, Phase::Leaving) {
            self.leave();
        }
    }

    /// Gives the lease back, so that others need not wait for its end.
    fn leave(&mut self) {
        self.store_call = None;
        self.phase = Phase::Leaving;
        if self.lease_call.is_some() {
            return;
        }
        match self.lease.take() {
            Some(held) => self.call_lease(Call::Revoke(held.lease), Duration::ZERO),
            None => {
                self.phase = Phase::Ended;
                self.effects.push(Effect::Ended);
            }
        }
    }

    /// Does what can be done by now.
    fn advance(&mut self, now: Now) {
        match &self.phase {
            Phase::Waiting { again } if *again <= now.uptime => self.look(None),
            Phase::Leading { .. } => self.lead_on(now),
            _ => {}
        }
    }

    fn lead_on(&mut self, now: Now) {
        let lease_is_due = self.lease_call.is_none() && self.lease_not_before <= now.uptime;
        match self.lease {
            None if lease_is_due => {
                self.call_lease(Call::Grant { ttl: self.setup.ttl }, now.uptime);
            }
            Some(held) if lease_is_due && held.renew_at <= now.uptime => {
                self.call_lease(Call::KeepAlive(held.lease), now.uptime);
            }
            _ => {}
        }
        let Phase::Leading { writing, resigning } = &mut self.phase else { return };
        let expired = writing.expire(now.uptime);
        self.effects.extend(expired.into_iter().map(|(id, result)| Effect::Done { id, result }));
        if *resigning && writing.backlog() == 0 {
            return self.leave();
        }
        let lease = self.lease.map(|held| held.lease);
        if self.store_call.is_none()
            && let Some(txn) = writing.next(now.uptime, lease)
        {
            self.call_store(Call::Txn(txn));
        }
    }

    fn wait(&mut self, now: Now, pause: Duration) {
        self.phase = Phase::Waiting { again: now.uptime + pause };
    }

    fn call_store(&mut self, call: Call) {
        self.calls += 1;
        self.store_call = Some(self.calls);
        self.effects.push(Effect::Call { id: self.calls, call });
    }

    fn call_lease(&mut self, call: Call, sent: Duration) {
        self.calls += 1;
        self.lease_call = Some(LeaseCall { id: self.calls, sent });
        self.effects.push(Effect::Call { id: self.calls, call });
    }
}

#[cfg(test)]
mod tests;
