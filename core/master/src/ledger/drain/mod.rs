//! Agents that operators take out of use: deactivated, drained, put back.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use karman_api::mesos::v1;
use karman_api::session::{self, master_message::Body};
use karman_model::id::AgentId;
use karman_model::resource::ReservationType;
use karman_model::time::Timestamp;

use super::{Agent, Effect, Key, Ledger, Presence, Refusal};

/// What operators want of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Nothing of it is offered.
    pub deactivated: bool,
    pub drain: Option<Drain>,
    /// When its machine will not be available.
    pub unavailability: Option<v1::Unavailability>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drain {
    pub config: v1::DrainConfig,
    /// All of its tasks and operations have ended and everybody knows.
    pub drained: bool,
    /// When the operator asked for it.
    pub since: Timestamp,
}

impl Drain {
    pub fn to_wire(self) -> v1::DrainInfo {
        let state = if self.drained { v1::DrainState::Drained } else { v1::DrainState::Draining };
        v1::DrainInfo { state: state.into(), config: self.config }
    }
}

impl Ledger {
    /// Its tasks are killed within `max_grace`; when all of their ends are
    /// acknowledged it is drained, and gone if that was wanted.
    pub(super) fn drain(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        max_grace: Option<Duration>,
        mark_gone: bool,
    ) -> Result<(), Refusal> {
        let nanoseconds = |it: Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
        let config = v1::DrainConfig {
            max_grace_period: max_grace.map(|it| v1::DurationInfo { nanoseconds: nanoseconds(it) }),
            mark_gone: Some(mark_gone),
        };
        let agent = self.agent_mut(id).ok_or_else(unknown)?;
        let since = agent.standing.drain.map_or(now, |before| before.since);
        agent.standing.drain = Some(Drain { config, drained: false, since });
        self.put_out_of_use(id);
        self.tell(id, Body::Drain(session::Drain { config: Some(config) }));
        self.idle.insert(id.clone());
        Ok(())
    }

    pub(super) fn deactivate(&mut self, id: &AgentId) -> Result<(), Refusal> {
        self.agents.get(id).ok_or_else(unknown)?;
        self.put_out_of_use(id);
        Ok(())
    }

    fn put_out_of_use(&mut self, id: &AgentId) {
        if let Some(agent) = self.agent_mut(id) {
            agent.standing.deactivated = true;
        }
        self.allocator.set_agent_active(id, false);
        self.rescind_agent(id);
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Agent(id.clone())));
    }

    pub(super) fn reactivate(&mut self, id: &AgentId) -> Result<(), Refusal> {
        let agent = self.agent_mut(id).ok_or_else(unknown)?;
        if !agent.standing.deactivated {
            return Err(Refusal::Invalid(format!("Agent {id} is not deactivated")));
        }
        if agent.standing.drain.is_some_and(|drain| !drain.drained) {
            return Err(Refusal::Invalid(format!("Agent {id} is still in the DRAINING state")));
        }
        let was_drained = agent.standing.drain.take().is_some();
        agent.standing.deactivated = false;
        let is_active = agent.is_active();
        self.allocator.set_agent_active(id, is_active);
        if was_drained {
            self.tell(id, Body::Drain(session::Drain { config: None }));
        }
        self.touched.agents.insert(id.clone());
        self.effect(Effect::Save(Key::Agent(id.clone())));
        Ok(())
    }

    /// An agent that is back may have missed an order, or its end.
    pub(super) fn repeat_drain(&mut self, id: &AgentId, known: Option<v1::DrainConfig>) {
        let Some(agent) = self.agents.get(id) else { return };
        let config = agent.standing.drain.map(|drain| drain.config);
        if config != known {
            self.tell(id, Body::Drain(session::Drain { config }));
        }
        if config.is_some() {
            self.idle.insert(id.clone());
        }
    }

    /// What follows when the last task or operation of an agent is acknowledged.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.keep_limits();
        while let Some(id) = self.idle.pop_first() {
            let Some(agent) = self.agents.get(&id) else { continue };
            let Some(drain) = agent.standing.drain.filter(|drain| !drain.drained) else { continue };
            if !agent.is_idle() {
                continue;
            }
            if let Some(agent) = self.agent_mut(&id) {
                agent.standing.drain = Some(Drain { drained: true, ..drain });
            }
            self.touched.agents.insert(id.clone());
            self.effect(Effect::Save(Key::Agent(id.clone())));
            if drain.config.mark_gone() {
                self.remove_for_ever(now, &id);
            }
        }
    }
}

impl Agent {
    /// Whether something of it may be offered.
    pub const fn is_active(&self) -> bool {
        self.is_registered() && !self.standing.deactivated
    }

    pub const fn unavailability(&self) -> Option<v1::Unavailability> {
        self.standing.unavailability
    }

    /// Whether something of it was set aside by an operation.
    pub(super) fn has_reservations(&self) -> bool {
        self.total.iter().any(|resource| {
            let kind = &resource.kind;
            kind.is_persistent_volume()
                || kind.reservations.iter().any(|it| it.kind == ReservationType::Dynamic)
        })
    }

    /// Whether all that ran here has ended and is acknowledged, as far as can be
    /// known: an agent that is not back may still have something.
    fn is_idle(&self) -> bool {
        matches!(self.presence, Presence::Registered | Presence::Disconnected)
            && self.tasks.is_empty()
            // Executors are there as long as they have tasks.
            && self.operations.is_empty()
    }
}

/// Upstream says 400 for some of these commands; its clients look for 404.
pub(super) fn unknown() -> Refusal {
    Refusal::NotFound("Unknown agent".to_owned())
}

#[cfg(test)]
mod tests;
