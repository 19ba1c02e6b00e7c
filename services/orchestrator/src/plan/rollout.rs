//! One step of scaling or of rolling replacement: from what runs now to what to
//! launch and kill now. Applied again and again it ends at what is wanted.
//!
//! It keeps two promises: it never kills below `ceil(n · minimumHealthCapacity)`
//! healthy instances and never launches above `floor(n · (1 +
//! maximumOverCapacity))` instances, one more where both are `n` and nothing
//! could ever move.
#![deny(clippy::disallowed_methods)]

use karman_api::marathon::v2::app::{KillSelection, UpgradeStrategy};
use karman_model::time::Timestamp;

use super::select::victims;

/// How useful an instance is, the least useful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Replaced already; only counts until it is dropped.
    Inactive,
    Unreachable,
    /// Waits for an offer.
    Scheduled,
    /// Launched but not running, or asked to end and to start again.
    Staging,
    Starting,
    /// Running but not (yet) healthy.
    Running,
    Healthy,
}

/// An instance as far as this decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    /// Runs the configuration that is wanted (or will, where it is scheduled).
    pub is_current: bool,
    /// On its way out for good.
    pub is_ending: bool,
    /// A user asked for this one to end.
    pub sentenced: bool,
    pub phase: Phase,
    pub started: Timestamp,
    /// The value that a GROUP_BY constraint balances.
    pub place: Option<String>,
}

/// What is wanted of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    pub instances: u32,
    pub strategy: UpgradeStrategy,
    pub kill_selection: KillSelection,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    pub launch: usize,
    /// For good, in this order.
    pub kill: Vec<String>,
    /// Nothing is left to do or to wait for.
    pub done: bool,
}

/// Decides the next actions.
pub fn step(members: &[Member], wanted: &Wanted) -> Actions {
    let n = usize::try_from(wanted.instances).unwrap_or(usize::MAX);
    let present = |member: &&Member| !member.is_ending && member.phase != Phase::Inactive;
    let current: Vec<&Member> =
        members.iter().filter(present).filter(|one| one.is_current).collect();
    let old: Vec<&Member> = members.iter().filter(present).filter(|one| !one.is_current).collect();
    let ending = members.iter().filter(|member| member.is_ending).count();

    let mut kill = victims(&current, current.len().saturating_sub(n), wanted.kill_selection);
    let kept = current.len() - kill.len();
    let healthy_current = current
        .iter()
        .filter(|member| member.phase == Phase::Healthy && !kill.contains(&member.id))
        .count();
    // Those that are killed hold their place until they are gone.
    let occupied = current.len() + old.len() + ending;
    let replacing = members.iter().any(|one| !one.is_current && one.phase != Phase::Inactive);
    let room = if replacing { max_capacity(wanted).saturating_sub(occupied) } else { n };
    let launch = n.saturating_sub(kept).min(room);
    if old.is_empty() {
        let done = launch == 0 && kill.is_empty() && ending == 0 && healthy_current == n;
        return Actions { launch, kill, done };
    }

    let (healthy, useless): (Vec<&Member>, Vec<&Member>) =
        old.iter().partition(|member| member.phase == Phase::Healthy);
    let spare = (healthy.len() + healthy_current).saturating_sub(min_healthy(wanted));
    kill.extend(victims(&useless, useless.len(), wanted.kill_selection));
    kill.extend(victims(&healthy, spare.min(healthy.len()), wanted.kill_selection));
    Actions { launch, kill, done: false }
}

/// Fewer healthy instances than this are never left.
pub fn min_healthy(wanted: &Wanted) -> usize {
    scaled(wanted.instances, wanted.strategy.minimum_health_capacity, f64::ceil)
}

/// More instances than this are never launched.
pub fn max_capacity(wanted: &Wanted) -> usize {
    let max = scaled(wanted.instances, 1.0 + wanted.strategy.maximum_over_capacity, f64::floor);
    if max == min_healthy(wanted) { max + 1 } else { max }
}

fn scaled(instances: u32, factor: f64, round: fn(f64) -> f64) -> usize {
    // 10 · 1.1 is a little more than 11: rounded to what people mean first.
    let exact = (f64::from(instances) * factor * 1e6).round() / 1e6;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "factors lie between 0 and 2, instances are a u32"
    )]
    let whole = round(exact) as usize;
    whole
}

#[cfg(test)]
mod tests;
