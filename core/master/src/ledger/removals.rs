//! How fast agents are given up. A network that breaks in the middle looks like
//! the death of half a datacenter: whoever limits the rate gains time to mend it.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeSet, VecDeque};

use karman_model::id::AgentId;
use karman_model::time::Timestamp;

use super::{Ledger, Presence, Timer};

/// Agents that are to be given up, in the order in which they were missed.
#[derive(Clone, Debug, Default)]
pub(super) struct Removals {
    queue: VecDeque<AgentId>,
    queued: BTreeSet<AgentId>,
    /// Not before this.
    next: Timestamp,
}

impl Ledger {
    /// Gives the agent up, as soon as the rate allows.
    pub(super) fn give_up(&mut self, now: Timestamp, id: &AgentId) {
        let Some(_limited) = self.registry.settings.agent_removal_rate else {
            self.note_metric("slave_unreachable_scheduled");
            return self.lose_agent(now, id);
        };
        if self.removals.queued.insert(id.clone()) {
            self.removals.queue.push_back(id.clone());
            self.note_metric("slave_unreachable_scheduled");
        }
        self.removals_due(now);
    }

    pub(super) fn removals_due(&mut self, now: Timestamp) {
        let Some(rate) = self.registry.settings.agent_removal_rate else { return };
        while now >= self.removals.next {
            let Some(id) = self.removals.queue.pop_front() else { return };
            self.removals.queued.remove(&id);
            if self.is_missed(now, &id) {
                self.removals.next = now + rate.interval();
                self.lose_agent(now, &id);
            } else {
                self.note_metric("slave_unreachable_canceled");
            }
        }
        if !self.removals.queue.is_empty() {
            self.timers.set(self.removals.next, Timer::Removals);
        }
    }

    /// Whether it is still to be given up: it may have come back meanwhile.
    fn is_missed(&self, now: Timestamp, id: &AgentId) -> bool {
        let Some(agent) = self.agents.get(id) else { return false };
        match agent.presence {
            Presence::Registered => agent.pings_missed >= self.registry.settings.pings_missed_max,
            Presence::Disconnected | Presence::Recovered => {
                agent.deadline.is_some_and(|deadline| deadline <= now)
            }
            Presence::Unreachable { .. } => false,
        }
    }
}
