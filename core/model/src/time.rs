//! Instants as arguments. Pure code never reads a clock.
#![deny(clippy::disallowed_methods)]

use std::ops::Add;
use std::time::Duration;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than every instant that will be seen.
    pub const MAX: Self = Self(u64::MAX);

    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Seconds since the epoch, as Mesos writes instants in JSON.
    pub fn as_secs_f64(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds stay exact in a double for 285,000 years"
        )]
        let ms = self.0 as f64;
        ms / 1000.0
    }

    /// Nanoseconds since the epoch, as Mesos writes instants in messages.
    pub fn as_nanos(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_saturate() {
        assert_eq!(Timestamp(5) + Duration::from_secs(1), Timestamp(1005));
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp(7).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(1500).as_nanos(), 1_500_000_000);
    }
}
