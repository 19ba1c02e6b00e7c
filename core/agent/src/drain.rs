//! Draining: what becomes of the tasks of an agent that an operator empties.
//! Pure.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{DrainConfig, TaskState};
use serde::{Deserialize, Serialize};

use crate::admit::{self, Refusal};
use crate::lifecycle::StopCause;

/// An order to drain, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drain {
    pub config: DrainConfig,
    /// When it was first heard of.
    pub since_ms: u64,
}

impl Drain {
    /// What follows from an order: the same one, said again, is as old as it
    /// was.
    pub fn ordered(
        before: Option<&Self>,
        config: Option<DrainConfig>,
        now_ms: u64,
    ) -> Option<Self> {
        let config = config?;
        let since_ms = before.map_or(now_ms, |before| before.since_ms);
        Some(Self { config, since_ms })
    }

    /// How long a task has that would have `own_ms` by itself.
    pub fn grace_ms(&self, own_ms: u64) -> u64 {
        let most = self.config.max_grace_period.as_ref();
        most.map_or(own_ms, |most| own_ms.min(admit::millis(most.nanoseconds)))
    }

    /// Why tasks end.
    pub fn cause(&self) -> StopCause {
        StopCause::Draining { gone: self.config.mark_gone() }
    }

    /// What is told of a task that came too late.
    pub fn refusal(partition_aware: bool) -> Refusal {
        let state = if partition_aware { TaskState::TaskDropped } else { TaskState::TaskLost };
        Refusal {
            state,
            reason: Reason::AgentDraining,
            message: "The agent is being drained and takes no tasks".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use karman_api::mesos::v1::DurationInfo;

    use super::*;

    fn drain(most_ms: Option<i64>, mark_gone: Option<bool>) -> Drain {
        let max_grace_period = most_ms.map(|ms| DurationInfo { nanoseconds: ms * 1_000_000 });
        Drain { config: DrainConfig { max_grace_period, mark_gone }, since_ms: 7 }
    }

    #[test]
    fn a_drain_only_shortens() {
        for (most, own, expected) in
            [(None, 3000, 3000), (Some(5000), 3000, 3000), (Some(10), 3000, 10), (Some(0), 5, 0)]
        {
            assert_eq!(drain(most, None).grace_ms(own), expected, "{most:?}");
        }
    }

    #[test]
    fn an_order_said_again_is_no_younger() {
        let first = drain(None, None);
        let again = drain(Some(1), Some(true)).config;
        let second = Drain::ordered(Some(&first), Some(again), 99).unwrap();
        assert_eq!(second.since_ms, 7);
        assert_eq!(second.cause(), StopCause::Draining { gone: true });
        assert_eq!(Drain::ordered(Some(&first), None, 99), None);
        assert_eq!(Drain::ordered(None, Some(first.config), 99).unwrap().since_ms, 99);
    }
}
