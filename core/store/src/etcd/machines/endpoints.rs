//! Which member of etcd to talk to: one, for as long as it answers.
//!
//! A balancer that spreads requests keeps sending some of them to the dead.
//! Here a failure moves everything to the next member, and a member that failed
//! rests, longer each time.

use std::time::Duration;

/// How long a member rests after its first failure.
const REST_MIN: Duration = Duration::from_millis(50);
/// And at most: a member that comes back is noticed soon.
const REST_MAX: Duration = Duration::from_secs(2);

/// The members, in the order of preference at the start.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    members: Vec<Member>,
    current: usize,
    epoch: u64,
}

#[derive(Clone, Debug, Default)]
struct Member {
    failures: u32,
    rests_until: Duration,
}

/// The member in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) index: usize,
    /// Grows whenever another choice is made.
    pub(crate) epoch: u64,
    /// It failed a short while ago: do not use it before.
    pub(crate) not_before: Duration,
}

impl Endpoints {
    pub(crate) fn new(members: usize) -> Self {
        Self { members: vec![Member::default(); members], current: 0, epoch: 0 }
    }

    pub(crate) fn chosen(&self) -> Chosen {
        let member = self.members.get(self.current);
        let not_before = member.map(|member| member.rests_until).unwrap_or_default();
        Chosen { index: self.current, epoch: self.epoch, not_before }
    }

    /// The member of that epoch answered.
    pub(crate) fn answered(&mut self, epoch: u64) {
        if epoch == self.epoch
            && let Some(member) = self.members.get_mut(self.current)
        {
            member.failures = 0;
        }
    }

    /// The member of that epoch did not answer. Many requests fail at once, and
    /// only the first of them counts. `chance` is anything from 0 to 255: not
    /// all clients shall come back at the same time.
    pub(crate) fn failed(&mut self, epoch: u64, now: Duration, chance: u8) -> bool {
        if epoch != self.epoch {
            return false;
        }
        if let Some(member) = self.members.get_mut(self.current) {
            member.failures = member.failures.saturating_add(1);
            let rest = REST_MIN.saturating_mul(1 << member.failures.min(8)).min(REST_MAX);
            // Between half of it and all.
            member.rests_until = now + rest / 2 + rest * u32::from(chance) / 512;
        }
        let count = self.members.len();
        let others = (1..=count).map(|step| (self.current + step) % count);
        // Whose rest is over first, and of several the next one.
        let rested = |index: &usize| {
            self.members.get(*index).map(|member| member.rests_until.max(now)).unwrap_or_default()
        };
        self.current = others.min_by_key(rested).unwrap_or_default();
        self.epoch += 1;
        true
    }
}

#[cfg(test)]
mod tests;
