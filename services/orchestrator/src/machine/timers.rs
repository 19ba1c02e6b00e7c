//! What has to be looked at again later. Rebuilt from state at start; a timer
//! that fires checks whether there still is anything to do.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::app::UnreachableStrategy;
use karman_model::time::Timestamp;

use crate::instance::{Condition, Goal};

use super::{Core, KILL_RETRY};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The app may launch again.
    Backoff(String),
    /// The kill of an instance should have shown effect.
    Kill(String),
    /// The launch of an instance should have come to life.
    Launch(String),
    /// An instance has been unreachable for as long as its app allows.
    Unreachable(String),
    /// Questions that were left open are asked again.
    Reconcile,
    /// Everything is asked about.
    ReconcileAll,
}

impl Core {
    /// When [`Core::tick`] should be called next.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.timers.first() {
            if *at > now {
                break;
            }
            let Some((_, timer)) = self.timers.pop_first() else { break };
            self.fire(now, timer);
        }
        self.settle(now);
    }

    fn fire(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Backoff(app) => {
                self.revive_wanted = true;
                self.out.touched.insert(app);
            }
            Timer::Kill(instance) => self.retry_kill(now, &instance),
            Timer::Launch(instance) => self.launch_overdue(now, &instance),
            Timer::Unreachable(instance) => self.unreachable_for_long(now, &instance),
            Timer::Reconcile => self.reconcile_open(now),
            Timer::ReconcileAll => self.reconcile_all(now),
        }
    }

    fn retry_kill(&mut self, now: Timestamp, id: &str) {
        let Some((_, instance)) = self.instance(id) else { return };
        if instance.killed_at.is_some() && instance.condition.is_launched() {
            self.send_kill(id);
            self.timers.insert((now + KILL_RETRY, Timer::Kill(id.to_owned())));
        }
    }

    fn launch_overdue(&mut self, now: Timestamp, id: &str) {
        let Some((_, instance)) = self.instance(id) else { return };
        let starting = matches!(
            instance.condition,
            Condition::Provisioned | Condition::Staging | Condition::Starting
        );
        let overdue = instance.since + super::LAUNCH_TIMEOUT <= now;
        if starting && !overdue {
            self.timers
                .insert((instance.since + super::LAUNCH_TIMEOUT, Timer::Launch(id.to_owned())));
        } else if starting && instance.killed_at.is_none() {
            self.kill(now, id, false);
        }
    }

    /// Replaces, and later forgets, an instance whose agent stays away.
    pub(super) fn unreachable_for_long(&mut self, now: Timestamp, id: &str) {
        let Some((app, instance)) = self.instance(id) else { return };
        if !matches!(instance.condition, Condition::Unreachable | Condition::UnreachableInactive) {
            return;
        }
        let app = app.to_owned();
        let since = instance.since;
        let ending = instance.goal != Goal::Running;
        let strategy = self.services.get(&app).and_then(|service| service.active.as_ref());
        let strategy = strategy
            .map_or_else(UnreachableStrategy::default, |spec| spec.app.unreachable_strategy);
        let after = |seconds: u32| since + std::time::Duration::from_secs(u64::from(seconds));
        let (inactive_at, expunge_at) = match strategy {
            UnreachableStrategy::Disabled(_) if !ending => return,
            UnreachableStrategy::Disabled(_) => (since, since),
            UnreachableStrategy::Replace { inactive_after_seconds, expunge_after_seconds } => {
                (after(inactive_after_seconds), after(expunge_after_seconds))
            }
        };
        if ending || expunge_at <= now {
            // Should its task come back, nobody knows it and it is killed.
            self.expunge(id);
            return;
        }
        let next = if inactive_at <= now { expunge_at } else { inactive_at };
        self.timers.insert((next, Timer::Unreachable(id.to_owned())));
        if inactive_at <= now {
            self.change(id, |instance| instance.condition = Condition::UnreachableInactive);
            self.dirty.insert(app);
        }
    }
}
