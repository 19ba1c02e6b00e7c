//! Inverse offers: frameworks with something on a machine that will not be
//! available are asked to leave it, and may say whether they will. Nothing
//! follows from their answers but what operators see.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::allocator::{InverseOfferStatus, inverse_offer_status::Status};
use karman_api::mesos::v1::maintenance::{ClusterStatus, cluster_status::DrainingMachine};
use karman_api::mesos::v1::scheduler::{self, event};
use karman_model::id::{AgentId, FrameworkId, OfferId};
use karman_model::time::Timestamp;

use super::machines::Machine;
use super::{Ledger, Timer, View, accept, status};
use crate::offers;

/// One framework is asked to leave one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct InverseOffer {
    pub id: OfferId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub unavailability: v1::Unavailability,
}

/// What a framework said last about leaving an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub accepted: bool,
    pub at: Timestamp,
}

type Place = (AgentId, FrameworkId);

#[derive(Clone, Debug, Default)]
pub struct InverseOffers {
    /// That are not answered.
    pub offers: BTreeMap<OfferId, InverseOffer>,
    pub answers: BTreeMap<Place, Answer>,
}

/// What only the ledger needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Invitations {
    open: BTreeMap<Place, OfferId>,
    /// Not to be asked again before this.
    refused: BTreeMap<Place, Timestamp>,
    /// Agents whose frameworks may have to be asked.
    pending: BTreeSet<AgentId>,
}

impl Ledger {
    /// Somebody may have to be asked to leave the agent.
    pub(super) fn invite(&mut self, agent: &AgentId) {
        if self.agents.get(agent).is_some_and(|agent| agent.unavailability().is_some()) {
            self.invitations.pending.insert(agent.clone());
        }
    }

    /// A framework that is back is asked again.
    pub(super) fn invite_framework(&mut self, framework: &FrameworkId) {
        if self.registry.maintenance.is_empty() {
            return;
        }
        let Some(owner) = self.frameworks.get(framework) else { return };
        let agents: BTreeSet<AgentId> = owner.tasks.values().map(|it| it.agent.clone()).collect();
        for agent in agents {
            self.invite(&agent);
        }
    }

    pub(super) fn make_inverse_offers(&mut self, now: Timestamp) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<v1::InverseOffer>> = BTreeMap::new();
        for agent in std::mem::take(&mut self.invitations.pending) {
            for framework in self.to_be_asked(now, &agent) {
                let wire = self.make_inverse_offer(now, &agent, &framework);
                by_framework.entry(framework).or_default().extend(wire);
            }
        }
        for (framework, inverse_offers) in by_framework {
            let inverse_offers = Some(event::InverseOffers { inverse_offers });
            let kind = event::Type::InverseOffers;
            self.send(&framework, scheduler::Event { inverse_offers, ..status::event(kind) });
        }
    }

    /// Frameworks with tasks or offers here that have not been asked.
    fn to_be_asked(&self, now: Timestamp, id: &AgentId) -> BTreeSet<FrameworkId> {
        let Some(agent) = self.agents.get(id).filter(|agent| agent.is_registered()) else {
            return BTreeSet::new();
        };
        let offered = agent.offers.iter().filter_map(|offer| self.offers.get(offer));
        let here = agent.tasks.iter().map(|(framework, _)| framework);
        let here: BTreeSet<&FrameworkId> =
            here.chain(offered.map(|offer| &offer.framework)).collect();
        let is_due = |framework: &FrameworkId| {
            let place = (id.clone(), framework.clone());
            self.frameworks.get(framework).is_some_and(|it| it.is_connected())
                && !self.invitations.open.contains_key(&place)
                && self.invitations.refused.get(&place).is_none_or(|until| *until <= now)
        };
        here.into_iter().filter(|framework| is_due(framework)).cloned().collect()
    }

    fn make_inverse_offer(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        framework: &FrameworkId,
    ) -> Option<v1::InverseOffer> {
        let unavailability = self.agents.get(agent)?.unavailability()?;
        self.offers_made += 1;
        let offer = InverseOffer {
            id: OfferId::from(format!("{}-O{}", self.identity.id, self.offers_made)),
            framework: framework.clone(),
            agent: agent.clone(),
            unavailability,
        };
        let place = (agent.clone(), framework.clone());
        self.invitations.refused.remove(&place);
        self.invitations.open.insert(place, offer.id.clone());
        let expires = now + self.registry.settings.offer_timeout;
        self.timers.set(expires, Timer::InverseOffer(offer.id.clone()));
        let wire = v1::InverseOffer {
            id: (&offer.id).into(),
            url: self.agents.get(agent).map(|agent| offers::url(agent)),
            framework_id: framework.into(),
            agent_id: Some(agent.into()),
            unavailability,
            resources: Vec::new(),
        };
        Arc::make_mut(&mut self.registry.inverse).offers.insert(offer.id.clone(), offer);
        Some(wire)
    }

    /// `ACCEPT_INVERSE_OFFERS` and `DECLINE_INVERSE_OFFERS`: unknown ids are ignored.
    pub(super) fn answer_inverse_offers(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        ids: &[v1::OfferId],
        filters: Option<&v1::Filters>,
        accepted: bool,
    ) {
        let until = now + accept::refusal(filters);
        for id in ids.iter().map(OfferId::from) {
            let offer = self.registry.inverse.offers.get(&id);
            if offer.is_none_or(|offer| offer.framework != *framework) {
                continue;
            }
            let Some(offer) = self.take_inverse_offer(&id) else { continue };
            let place = (offer.agent.clone(), framework.clone());
            Arc::make_mut(&mut self.registry.inverse)
                .answers
                .insert(place.clone(), Answer { accepted, at: now });
            self.invitations.refused.insert(place, until);
            self.timers.set(until, Timer::Invite(offer.agent));
        }
    }

    /// `REVIVE` ends the filters of all roles.
    pub(super) fn revive_inverse_offers(&mut self, framework: &FrameworkId) {
        if self.invitations.refused.is_empty() {
            return;
        }
        let mut agents = BTreeSet::new();
        self.invitations.refused.retain(|(agent, owner), _| {
            let is_mine = owner == framework;
            if is_mine {
                agents.insert(agent.clone());
            }
            !is_mine
        });
        self.invitations.pending.extend(agents);
    }

    fn take_inverse_offer(&mut self, id: &OfferId) -> Option<InverseOffer> {
        let offer = Arc::make_mut(&mut self.registry.inverse).offers.remove(id)?;
        self.invitations.open.remove(&(offer.agent.clone(), offer.framework.clone()));
        Some(offer)
    }

    /// The agent goes or its schedule changes: what was asked is void.
    pub(super) fn rescind_inverse_offers(&mut self, agent: &AgentId) {
        let first = (agent.clone(), FrameworkId::from(""));
        let open = self.invitations.open.range(first..);
        let here = open.take_while(|((place, _), _)| place == agent);
        let ids: Vec<OfferId> = here.map(|(_, id)| id.clone()).collect();
        for id in ids {
            self.rescind_inverse_offer(&id);
        }
    }

    fn rescind_inverse_offer(&mut self, id: &OfferId) -> Option<InverseOffer> {
        let offer = self.take_inverse_offer(id)?;
        let rescind = Some(event::RescindInverseOffer { inverse_offer_id: id.into() });
        let kind = event::Type::RescindInverseOffer;
        let event = scheduler::Event { rescind_inverse_offer: rescind, ..status::event(kind) };
        self.send(&offer.framework, event);
        Some(offer)
    }

    /// As offers, a question that nobody answers runs out: the answer may be
    /// lost. It is asked anew.
    pub(super) fn inverse_offer_due(&mut self, id: &OfferId) {
        if let Some(offer) = self.rescind_inverse_offer(id) {
            self.invite(&offer.agent);
        }
    }

    /// Without a word: the framework does not listen.
    pub(super) fn discard_inverse_offers(&mut self, framework: &FrameworkId) {
        let open = self.invitations.open.iter().filter(|((_, owner), _)| owner == framework);
        let ids: Vec<OfferId> = open.map(|(_, id)| id.clone()).collect();
        for id in ids {
            self.take_inverse_offer(&id);
        }
    }

    /// Nobody's answers count any longer.
    pub(super) fn forget_answers(&mut self, is_meant: impl Fn(&Place) -> bool) {
        self.invitations.refused.retain(|place, _| !is_meant(place));
        if self.registry.inverse.answers.keys().any(&is_meant) {
            let inverse = Arc::make_mut(&mut self.registry.inverse);
            inverse.answers.retain(|place, _| !is_meant(place));
        }
    }
}

impl View {
    /// The machines of the schedule and what frameworks said about leaving them.
    pub fn maintenance_status(&self) -> ClusterStatus {
        let maintenance = &self.registry.maintenance;
        let mut by_machine: BTreeMap<&Machine, Vec<InverseOfferStatus>> = BTreeMap::new();
        for ((agent, framework), answer) in &self.registry.inverse.answers {
            let Some(agent) = self.agents.get(agent) else { continue };
            let Some(machine) = maintenance.find(&agent.info.hostname, agent.ip) else { continue };
            let status = if answer.accepted { Status::Accept } else { Status::Decline };
            by_machine.entry(machine).or_default().push(InverseOfferStatus {
                status: status.into(),
                framework_id: framework.into(),
                timestamp: v1::TimeInfo { nanoseconds: answer.at.as_nanos() },
            });
        }
        let draining = |machine: &Machine| DrainingMachine {
            id: machine.to_wire(),
            statuses: by_machine.remove(machine).unwrap_or_default(),
        };
        ClusterStatus {
            draining_machines: maintenance.draining().map(draining).collect(),
            down_machines: maintenance.down().map(Machine::to_wire).collect(),
        }
    }
}
