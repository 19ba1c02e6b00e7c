//! How often a wrong password may be tried. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

/// After so many failures in [`WINDOW_MS`] a caller waits until the window ends.
const FAILURES_MAX: u32 = 5;
const WINDOW_MS: u64 = 60_000;
/// Beyond this many callers the oldest are forgotten: memory has a bound, and
/// a guesser with that many addresses is not stopped by counting.
const CALLERS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Tries {
    failures: u32,
    since_ms: u64,
}

#[derive(Debug, Default)]
pub struct Limiter {
    tries: BTreeMap<String, Tries>,
}

impl Limiter {
    /// The milliseconds that a caller has to wait, if it has to.
    pub fn blocked(&self, caller: &str, now_ms: u64) -> Option<u64> {
        let Tries { failures, since_ms } = self.tries.get(caller)?;
        let end = since_ms + WINDOW_MS;
        (*failures >= FAILURES_MAX && now_ms < end).then(|| end - now_ms)
    }

    pub fn failed(&mut self, caller: String, now_ms: u64) {
        self.tries.retain(|_, tries| now_ms < tries.since_ms + WINDOW_MS);
        if self.tries.len() >= CALLERS_MAX
            && let Some(oldest) = self
                .tries
                .iter()
                .min_by_key(|(_, tries)| tries.since_ms)
                .map(|(key, _)| key.clone())
        {
            self.tries.remove(&oldest);
        }
        self.tries.entry(caller).or_insert(Tries { failures: 0, since_ms: now_ms }).failures += 1;
    }

    pub fn succeeded(&mut self, caller: &str) {
        self.tries.remove(caller);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_try_waits_until_the_window_ends() {
        let mut limiter = Limiter::default();
        for try_at in 0..5 {
            assert_eq!(limiter.blocked("a", try_at), None);
            limiter.failed("a".into(), try_at);
        }
        assert_eq!(limiter.blocked("a", 10), Some(59_990));
        assert_eq!(limiter.blocked("b", 10), None);
        assert_eq!(limiter.blocked("a", 60_000), None);
    }

    #[test]
    fn a_right_password_forgives() {
        let mut limiter = Limiter::default();
        for _ in 0..4 {
            limiter.failed("a".into(), 0);
        }
        limiter.succeeded("a");
        limiter.failed("a".into(), 1);
        assert_eq!(limiter.blocked("a", 2), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut limiter = Limiter::default();
        for caller in 0..2 * CALLERS_MAX {
            limiter.failed(caller.to_string(), 1);
        }
        assert_eq!(limiter.tries.len(), CALLERS_MAX);
    }
}
