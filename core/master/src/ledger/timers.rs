//! What is due when. A timer that is no longer wanted stays and finds nothing
//! to do: each handler looks at the state again.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_model::id::{AgentId, FrameworkId, OfferId, OperationId};
use karman_model::time::Timestamp;

use super::{Ledger, SessionId};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Remove the framework if it has not come back.
    Failover(FrameworkId),
    /// Take the offer back if it is unanswered.
    Offer(OfferId),
    /// Ping the agent, or give up its session.
    Ping(SessionId),
    /// Give the agent up if it has not come back.
    Absence(AgentId),
    /// Give up the next of those that wait for their turn.
    Removals,
    /// Ask anew if the question is unanswered.
    InverseOffer(OfferId),
    /// Ask frameworks again to leave the agent.
    Invite(AgentId),
    /// Forget agents that nobody will see again.
    Registry,
    /// Offer again after a restart, although agents are missing.
    Recovery,
    /// Say again what became of the operation.
    Operation(AgentId, FrameworkId, OperationId),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Timestamp, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Timestamp, timer: Timer) {
        // "Never" needs no timer.
        if at < Timestamp::MAX {
            self.0.insert((at, timer));
        }
    }

    pub(super) fn clear(&mut self, at: Timestamp, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    fn pop(&mut self, now: Timestamp) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, timer)| timer)
    }
}

impl Ledger {
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Failover(framework) => self.failover_due(now, &framework),
                Timer::Offer(offer) => self.offer_due(now, &offer),
                Timer::Ping(session) => self.ping_due(now, session),
                Timer::Absence(agent) => self.absence_due(now, &agent),
                Timer::Removals => self.removals_due(now),
                Timer::InverseOffer(offer) => self.inverse_offer_due(&offer),
                Timer::Invite(agent) => self.invite(&agent),
                Timer::Registry => self.registry_due(now),
                Timer::Recovery => self.end_recovery(),
                Timer::Operation(agent, framework, operation) => {
                    self.operation_due(now, &agent, &framework, &operation);
                }
            }
        }
    }
}
