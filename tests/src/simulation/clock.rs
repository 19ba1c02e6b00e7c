//! The clocks of machines: set forward and back by somebody, while simulated
//! time only goes on.

/// Far enough from zero that setting it back does not get there.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What the wall clock of the masters' machines says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    set_ms: i64,
    /// Masters are told what the clock says, even when it goes backwards.
    pub(super) raw: bool,
}

impl Wall {
    pub(super) const fn new(raw: bool) -> Self {
        Self { set_ms: 0, raw }
    }

    pub(super) fn at(self, now: u64) -> u64 {
        (EPOCH_MS + now).checked_add_signed(self.set_ms).unwrap()
    }

    pub(super) const fn set(&mut self, by_ms: i64) {
        self.set_ms += by_ms;
    }
}

/// How a process reads it: forwards, never backwards, as `karman_rt::time` does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall_ms: u64,
    read: u64,
}

impl Clock {
    pub(super) fn new(wall: Wall, now: u64) -> Self {
        Self { wall_ms: wall.at(now), read: now }
    }

    pub(super) fn at(&mut self, wall: Wall, now: u64) -> u64 {
        let steady = self.wall_ms + (now - self.read);
        let wall_ms = wall.at(now);
        if wall.raw {
            return wall_ms;
        }
        if wall_ms >= steady {
            *self = Self { wall_ms, read: now };
        }
        wall_ms.max(steady)
    }
}
