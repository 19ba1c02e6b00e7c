//! How long an app that keeps failing waits for its next launch.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use karman_model::time::Timestamp;

/// How the wait grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub base: Duration,
    pub factor: f64,
    pub max: Duration,
}

/// The wait of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    delay: Duration,
    until: Timestamp,
}

impl Backoff {
    /// Takes note of a failure: the wait grows and starts anew. A failure long
    /// after the last one starts from the beginning.
    pub fn fail(&mut self, now: Timestamp, policy: &Policy) {
        let forgotten = now > self.until + policy.max;
        self.delay = if self.delay.is_zero() || forgotten {
            policy.base.min(policy.max)
        } else {
            let grown = self.delay.as_secs_f64() * policy.factor;
            Duration::try_from_secs_f64(grown).unwrap_or(policy.max).min(policy.max)
        };
        self.until = now + self.delay;
    }

    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// When the next launch may be.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    pub fn left(&self, now: Timestamp) -> Duration {
        self.until.since(now)
    }

    pub fn permits(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy =
        Policy { base: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(10) };

    #[test]
    fn the_wait_doubles_to_its_maximum_and_is_forgotten() {
        let mut backoff = Backoff::default();
        assert!(backoff.permits(Timestamp(0)));
        let mut now = Timestamp(1000);
        let mut waits = Vec::new();
        for _ in 0..6 {
            backoff.fail(now, &POLICY);
            waits.push(backoff.left(now).as_secs());
            now = backoff.until();
            assert!(backoff.permits(now));
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        let later = now + Duration::from_secs(11);
        backoff.fail(later, &POLICY);
        assert_eq!(backoff.left(later), Duration::from_secs(1));
        backoff.reset();
        assert!(backoff.permits(later));
    }

    proptest! {
        #[test]
        fn the_wait_never_exceeds_its_maximum(
            base in 0u64..100_000, factor in 1.0f64..1e6, max in 0u64..100_000, failures in 1usize..50,
        ) {
            let policy = Policy { base: Duration::from_millis(base), factor, max: Duration::from_millis(max) };
            let mut backoff = Backoff::default();
            let mut last = Duration::ZERO;
            for _ in 0..failures {
                backoff.fail(Timestamp(5), &policy);
                prop_assert!(backoff.left(Timestamp(5)) <= policy.max);
                prop_assert!(backoff.left(Timestamp(5)) >= last);
                last = backoff.left(Timestamp(5));
            }
        }
    }
}
