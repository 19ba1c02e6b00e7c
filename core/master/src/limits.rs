//! How many calls of a principal are let in a second: those above wait for their
//! turn, up to a number that may. Pure: the time is an argument, counted from any
//! moment in the past.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::{CallRate, RateLimits};

/// Calls that may wait where nobody has said how many.
const WAITING_MAX: u64 = 10_000;
/// A rate below this lets in as good as nothing; waiting for it makes no sense.
const PER_SECOND_MIN: f64 = 1.0e-6;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Its turn is after so long.
    Wait(Duration),
    /// Too many wait already; a place becomes free after so long.
    Refuse {
        retry_after: Duration,
    },
}

/// Lets calls in at even distances.
#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    waiting_max: u64,
    /// The turn of the call that comes next.
    next: Duration,
}

impl Pace {
    /// `None`: as many as come.
    fn of(rate: CallRate) -> Option<Self> {
        let per_second = rate.per_second?.max(PER_SECOND_MIN);
        Some(Self {
            interval: Duration::try_from_secs_f64(1.0 / per_second).unwrap_or_default(),
            waiting_max: rate.capacity.unwrap_or(WAITING_MAX),
            next: Duration::ZERO,
        })
    }

    fn admit(&mut self, now: Duration) -> Verdict {
        let turn = self.next.max(now);
        let wait = turn.saturating_sub(now);
        // Those who wait have turns at one interval from each other, up to here.
        let ahead = wait.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        if ahead > u128::from(self.waiting_max) {
            let places = u32::try_from(self.waiting_max).unwrap_or(u32::MAX);
            return Verdict::Refuse {
                retry_after: wait.saturating_sub(self.interval.saturating_mul(places)),
            };
        }
        self.next = turn.saturating_add(self.interval);
        if wait.is_zero() { Verdict::Pass } else { Verdict::Wait(wait) }
    }
}

/// The rates of all principals; who is not named shares one with all others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// `None`: named, and not limited.
    principals: BTreeMap<String, Option<Pace>>,
    others: Option<Pace>,
}

impl Limits {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let pace = |(principal, rate): (&String, &CallRate)| (principal.clone(), Pace::of(*rate));
        Self {
            principals: limits.principals.iter().map(pace).collect(),
            others: Pace::of(limits.others),
        }
    }

    pub(crate) fn admit(&mut self, now: Duration, principal: Option<&str>) -> Verdict {
        let pace = match principal.and_then(|name| self.principals.get_mut(name)) {
            Some(named) => named.as_mut(),
            None => self.others.as_mut(),
        };
        pace.map_or(Verdict::Pass, |pace| pace.admit(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64, capacity: u64) -> CallRate {
        CallRate { per_second: Some(per_second), capacity: Some(capacity) }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn calls_are_spread_and_the_surplus_is_refused() {
        let mut limits = Limits::new(&RateLimits {
            principals: BTreeMap::from([
                ("slow".to_owned(), rate(10.0, 2)),
                ("free".to_owned(), CallRate::default()),
            ]),
            others: rate(1.0, 0),
        });
        let mut admit = |after, who| limits.admit(ms(after), who);
        let slow = Some("slow");
        assert_eq!(admit(0, slow), Verdict::Pass);
        assert_eq!(admit(0, slow), Verdict::Wait(ms(100)));
        assert_eq!(admit(50, slow), Verdict::Wait(ms(150)));
        assert_eq!(admit(60, slow), Verdict::Refuse { retry_after: ms(40) });
        // One has had its turn.
        assert_eq!(admit(100, slow), Verdict::Wait(ms(200)));
        // Nothing is saved up.
        assert_eq!(admit(10_000, slow), Verdict::Pass);
        assert_eq!(admit(10_000, slow), Verdict::Wait(ms(100)));
        for _ in 0..100 {
            assert_eq!(admit(0, Some("free")), Verdict::Pass);
        }
        // Strangers share, and none of them may wait.
        assert_eq!(admit(0, Some("a")), Verdict::Pass);
        assert_eq!(admit(400, None), Verdict::Refuse { retry_after: ms(600) });
        assert_eq!(admit(1000, Some("b")), Verdict::Pass);
    }

    #[test]
    fn absurd_rates_do_no_harm() {
        for per_second in [0.0, -1.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NAN] {
            let others = CallRate { per_second: Some(per_second), capacity: None };
            let mut limits = Limits::new(&RateLimits { others, ..RateLimits::default() });
            for _ in 0..3 {
                limits.admit(ms(1), None);
            }
        }
    }
}
