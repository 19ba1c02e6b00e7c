//! Becoming the leader: look, get a lease, take.

use super::super::call::Compare;
use super::writing::Writing;
use super::{
    Answer, Call, Candidate, Claim, Effect, Found, Lease, Now, Op, Outcome, Phase, RETRY, Record,
    Txn,
};

/// Who led when a candidate looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    fence: Option<Record>,
    /// When the claim that may be ignored was written.
    claimed_at: Option<i64>,
}

impl Candidate {
    pub(super) fn look(&mut self, attempt: Option<Record>) {
        self.phase = Phase::Looking { attempt, again: false };
        let keys = &self.setup.keys;
        let read = vec![keys.fence(&self.setup.name), keys.claim(&self.setup.name)];
        self.call_store(Call::Read(read));
    }

    pub(super) fn looked(&mut self, now: Now, attempt: Option<Record>, outcome: Outcome) {
        let Outcome::Answered(Answer::Read { found }) = outcome else {
            return self.look_later(now, attempt);
        };
        let Ok([fence, claim]) = <[Option<Found>; 2]>::try_from(found) else {
            return self.wait(now, RETRY);
        };
        let fence = match fence.map(|found| Record::decode(&found.value)) {
            Some(None) => {
                let key = self.setup.keys.fence(&self.setup.name);
                self.effects.push(Effect::Note(format!("'{key}' in etcd cannot be read")));
                return self.wait(now, self.setup.ttl);
            }
            Some(Some(record)) => Some(record),
            None => None,
        };
        if let Some(record) = attempt.filter(|attempt| fence == Some(*attempt)) {
            return self.lead(record);
        }
        if let Some(claim) = &claim
            && Claim::decode(&claim.value).is_none_or(|claim| claim.holder != self.setup.holder)
        {
            return self.wait(now, self.setup.ttl);
        }
        let seen = Seen { fence, claimed_at: claim.map(|claim| claim.revision) };
        match self.lease {
            // Not one that may end while the attempt is under way.
            Some(held) if now.uptime < held.renew_at => self.take(now, &seen, held.lease),
            _ => self.grant(now, seen),
        }
    }

    /// The store did not answer; an attempt of unknown end stays in mind.
    fn look_later(&mut self, now: Now, attempt: Option<Record>) {
        match attempt {
            Some(_) => self.look(attempt),
            None => self.wait(now, RETRY),
        }
    }

    fn grant(&mut self, now: Now, seen: Seen) {
        self.lease = None;
        self.phase = Phase::Granting { seen };
        self.call_lease(Call::Grant { ttl: self.setup.ttl }, now.uptime);
    }

    /// The fence may have grown in sequence since it was seen, which its leader
    /// does all the time, but not in token; and nobody may have claimed since.
    pub(super) fn take(&mut self, now: Now, seen: &Seen, lease: Lease) {
        let before = seen.fence.map(|record| record.token).unwrap_or_default();
        // The clock keeps tokens growing over a cluster that was set back.
        let token = now.wall_ms.max(before.saturating_add(1));
        let record = Record { token, sequence: 0, nonce: self.setup.nonce };
        let (fence, claim) =
            (self.setup.keys.fence(&self.setup.name), self.setup.keys.claim(&self.setup.name));
        let compare_fence = match seen.fence {
            Some(_) => {
                Compare::ValueBelow { key: fence.clone(), value: record.above_smaller_tokens() }
            }
            None => Compare::Missing { key: fence.clone() },
        };
        let compare_claim = match seen.claimed_at {
            Some(revision) => Compare::ModifiedAt { key: claim.clone(), revision },
            None => Compare::Missing { key: claim.clone() },
        };
        let says = Claim { token, holder: self.setup.holder.clone() };
        let txn = Txn {
            compare: vec![compare_fence, compare_claim],
            then: vec![
                Op::Put { key: fence, value: record.encode(), lease: None },
                Op::Put { key: claim, value: says.encode(), lease: Some(lease) },
            ],
            otherwise: vec![],
        };
        self.phase = Phase::Taking { record };
        self.call_store(Call::Txn(txn));
    }

    pub(super) fn took(&mut self, now: Now, record: Record, outcome: Outcome) {
        match outcome {
            Outcome::Answered(Answer::Txn { applied: true, .. }) => self.lead(record),
            Outcome::Answered(_) => self.look(None),
            Outcome::LeaseGone => {
                self.lease = None;
                self.look(None);
            }
            Outcome::TooLarge { reason } | Outcome::Refused { reason } => {
                self.effects.push(Effect::Note(reason));
                self.wait(now, self.setup.ttl);
            }
            Outcome::Unknown { .. } => self.look(Some(record)),
        }
    }

    fn lead(&mut self, record: Record) {
        let writing = Writing::new(self.setup.clone(), record);
        self.phase = Phase::Leading { writing: Box::new(writing), resigning: false };
        self.effects.push(Effect::Leads { token: record.token });
    }
}
