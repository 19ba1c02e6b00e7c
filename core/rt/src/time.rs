//! The clock, read only by shells; pure code takes its reading as an argument.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. It follows the clock of the machine
/// forwards but never backwards: where that is set back, time goes on from
/// where it was, and whatever is due in a second is due in a second.
pub fn now_ms() -> u64 {
    static CLOCK: Mutex<Option<Clock>> = Mutex::new(None);
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let (wall, now) = (wall_ms(), Instant::now());
    clock.get_or_insert(Clock { wall_ms: wall, read: now }).at(wall, now)
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the clock of the machine said last when it was ahead, and when.
#[derive(Clone, Copy, Debug)]
struct Clock {
    wall_ms: u64,
    read: Instant,
}

impl Clock {
    fn at(&mut self, wall_ms: u64, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.read).as_millis();
        let steady = self.wall_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        if wall_ms >= steady {
            *self = Self { wall_ms, read: now };
        }
        wall_ms.max(steady)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_never_goes_backwards_and_never_stands_still() {
        let start = Instant::now();
        let mut clock = Clock { wall_ms: 1_000_000, read: start };
        let mut at = |wall, passed| clock.at(wall, start + Duration::from_millis(passed));
        assert_eq!(at(1_000_500, 500), 1_000_500);
        // Set back by more than ten minutes, and still behind later.
        assert_eq!(at(400_000, 1_000), 1_001_000);
        assert_eq!(at(410_000, 11_000), 1_011_000);
        // Set forward again.
        assert_eq!(at(2_000_000, 12_000), 2_000_000);
        assert_eq!(at(2_001_000, 13_000), 2_001_000);
    }

    #[test]
    fn readings_are_in_order() {
        let readings: Vec<u64> = (0..1000).map(|_| now_ms()).collect();
        assert!(readings.is_sorted());
    }
}
