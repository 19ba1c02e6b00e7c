//! What the service manager wants to hear: that a process is ready, that it is
//! alive, that it stops. Without one nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use crate::Tasks;

/// Says that this process does its work from now on, and as often as the manager
/// asks that it still does: a process whose tasks are stuck falls silent and is
/// restarted.
pub fn ready(tasks: &Tasks) {
    say(NotifyState::Ready);
    let mut interval_us = 0;
    if !sd_notify::watchdog_enabled(false, &mut interval_us) {
        return;
    }
    // Twice in the time given, so that one late word does no harm.
    let half = Duration::from_micros(interval_us) / 2;
    tasks.spawn("watchdog", async move {
        let mut ticks = tokio::time::interval(half.max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            say(NotifyState::Watchdog);
        }
    });
}

/// Says that this process stops by its own will.
pub fn stopping() {
    say(NotifyState::Stopping);
}

fn say(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        warn!(error = crate::chain(&error), "the service manager was not told");
    }
}
