//! When a task is probed and what the answers mean: health checks, which may
//! end it, and checks, which only tell. Pure.
#![deny(clippy::disallowed_methods)]

mod spec;

pub use spec::{Probe, Spec, check, health};

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An exit status.
    Command(i32),
    /// An HTTP status.
    Http(u32),
    /// A connection was made.
    Tcp,
    /// No answer in time or at all; why.
    None(String),
}

impl Outcome {
    /// What a health check wants to see.
    pub fn is_healthy(&self) -> bool {
        match self {
            Self::Command(status) => *status == 0,
            Self::Http(status) => (200..400).contains(status),
            Self::Tcp => true,
            Self::None(_) => false,
        }
    }
}

/// What the shell does for a checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The health changed.
    Health { healthy: bool },
    /// The answer of a check changed; `None` is no answer.
    Answer(Option<Outcome>),
    /// The task is to be ended.
    Kill,
}

/// One check of one task. Probes one at a time: the next is due an interval
/// after the answer to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker {
    spec: Spec,
    /// When the command was executed, in milliseconds.
    started_ms: u64,
    due_ms: u64,
    failures: u32,
    /// Until the first success failures do not count within the grace period.
    seen_healthy: bool,
    healthy: Option<bool>,
    answer: Option<Option<Outcome>>,
}

impl Checker {
    pub fn new(spec: Spec, started_ms: u64) -> Self {
        let due_ms = started_ms.saturating_add(spec.delay_ms);
        Self {
            spec,
            started_ms,
            due_ms,
            failures: 0,
            seen_healthy: false,
            healthy: None,
            answer: None,
        }
    }

    /// As far as an earlier process of this agent got.
    pub fn restored(spec: Spec, started_ms: u64, now_ms: u64, healthy: Option<bool>) -> Self {
        let mut checker = Self::new(spec, started_ms);
        checker.due_ms = checker.due_ms.max(now_ms);
        checker.healthy = healthy;
        checker.seen_healthy = healthy.is_some();
        checker
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// When the next probe is to start.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// A probe was answered, or was not in time.
    pub fn apply(&mut self, now_ms: u64, outcome: Outcome) -> Vec<Effect> {
        self.due_ms = now_ms.saturating_add(self.spec.interval_ms);
        match self.spec.failures_max {
            None => self.answer(outcome),
            Some(_) if outcome.is_healthy() => self.success(),
            Some(max) => self.failure(now_ms, max),
        }
    }

    fn answer(&mut self, outcome: Outcome) -> Vec<Effect> {
        let answer = Some(outcome).filter(|outcome| !matches!(outcome, Outcome::None(_)));
        if self.answer.as_ref() == Some(&answer) {
            return Vec::new();
        }
        self.answer = Some(answer.clone());
        vec![Effect::Answer(answer)]
    }

    fn success(&mut self) -> Vec<Effect> {
        self.seen_healthy = true;
        self.failures = 0;
        self.flip(true)
    }

    fn failure(&mut self, now_ms: u64, max: u32) -> Vec<Effect> {
        let in_grace = now_ms
            < self.started_ms.saturating_add(self.spec.delay_ms).saturating_add(self.spec.grace_ms);
        if !self.seen_healthy && in_grace {
            return Vec::new();
        }
        self.failures = self.failures.saturating_add(1);
        let mut effects = self.flip(false);
        // Zero: a failing check never ends the task.
        if max > 0 && self.failures == max {
            effects.push(Effect::Kill);
        }
        effects
    }

    fn flip(&mut self, healthy: bool) -> Vec<Effect> {
        if self.healthy == Some(healthy) {
            return Vec::new();
        }
        self.healthy = Some(healthy);
        vec![Effect::Health { healthy }]
    }
}

#[cfg(test)]
mod tests;
