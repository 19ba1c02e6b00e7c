//! Offers: making, taking back, expiry.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use karman_allocator::{Grant, Role};
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{self, event};
use karman_model::id::{AgentId, FrameworkId, OfferId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::task::Shown;
use super::{Effect, Ledger, Timer, status};
use crate::offers;

/// Who let an offer run out is offered the same again only after this.
const EXPIRED_REFUSAL: Duration = Duration::from_secs(5);

/// Resources of one agent, offered to one framework in one role.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub role: Role,
    /// On the account of the role.
    pub resources: Resources,
    pub expires: Timestamp,
    pub(crate) shown: Shown,
}

impl Ledger {
    pub(super) fn make_offers(&mut self, now: Timestamp) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<v1::Offer>> = BTreeMap::new();
        for Grant { agent, framework, role, resources } in self.allocator.allocate(now) {
            self.offers_made += 1;
            let offer = Offer {
                id: OfferId::from(format!("{}-O{}", self.identity.id, self.offers_made)),
                framework: framework.clone(),
                agent,
                role,
                resources,
                expires: now + self.registry.settings.offer_timeout,
                shown: Shown::default(),
            };
            let wire = self.record_offer(&Arc::new(offer));
            by_framework.entry(framework).or_default().extend(wire);
        }
        for (framework, offers) in by_framework {
            let offers = Some(event::Offers { offers });
            self.send(
                &framework,
                scheduler::Event { offers, ..status::event(event::Type::Offers) },
            );
        }
    }

    fn record_offer(&mut self, offer: &Arc<Offer>) -> Option<v1::Offer> {
        self.counters.offers_sent += 1;
        self.timers.set(offer.expires, Timer::Offer(offer.id.clone()));
        self.offers.insert(offer.id.clone(), Arc::clone(offer));
        self.invite(&offer.agent);
        let agent = self.agent_mut(&offer.agent)?;
        agent.offers.insert(offer.id.clone());
        agent.offered += &offer.resources;
        let framework = self.framework_mut(&offer.framework)?;
        framework.offers.insert(offer.id.clone(), Arc::clone(offer));
        let framework = self.frameworks.get(&offer.framework)?;
        let agent = self.agents.get(&offer.agent)?;
        let format = framework.capabilities;
        Some(offers::to_wire(offer, format, agent, &executors(framework, agent)))
    }

    /// Takes the offer off the books; its resources stay charged.
    pub(super) fn take_offer(&mut self, id: &OfferId) -> Option<Arc<Offer>> {
        let offer = self.offers.remove(id)?;
        self.allocator.settle(&offer.framework, &offer.role, &offer.resources);
        self.timers.clear(offer.expires, Timer::Offer(id.clone()));
        if let Some(agent) = self.agent_mut(&offer.agent) {
            agent.offers.remove(id);
            agent.offered = agent.offered.saturating_sub(&offer.resources);
        }
        if offer.resources.has_shared() {
            self.recount_shared_offers(&offer.agent);
        }
        if let Some(framework) = self.framework_mut(&offer.framework) {
            framework.offers.remove(id);
        }
        Some(offer)
    }

    /// A shared volume may be in several offers.
    fn recount_shared_offers(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else { return };
        let left = agent.offers.iter().filter_map(|offer| self.offers.get(offer));
        let shared = left.map(|offer| &offer.resources).sum::<Resources>().shared();
        if let Some(agent) = self.agent_mut(id) {
            agent.offered += &shared;
        }
    }

    /// Takes the offer back and frees what was in it.
    pub(super) fn discard_offer(&mut self, id: &OfferId, refuse_until: Option<Timestamp>) {
        let Some(offer) = self.take_offer(id) else { return };
        let Offer { id: _, agent, framework, role, resources, expires: _, shown: _ } = &*offer;
        if let Some(until) = refuse_until {
            self.allocator.refuse(agent, framework, role, resources, until);
        }
        self.allocator.release(agent, framework, role, resources);
    }

    /// Takes the offer back and tells the framework.
    pub(super) fn rescind(&mut self, id: &OfferId, refuse_until: Option<Timestamp>) {
        let Some(framework) = self.offers.get(id).map(|offer| offer.framework.clone()) else {
            return;
        };
        self.counters.offers_rescinded += 1;
        let rescind = Some(event::Rescind { offer_id: id.into() });
        self.send(&framework, scheduler::Event { rescind, ..status::event(event::Type::Rescind) });
        self.discard_offer(id, refuse_until);
    }

    pub(super) fn rescind_agent(&mut self, agent: &AgentId) {
        let offers = self.agents.get(agent).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            self.rescind(&offer, None);
        }
        self.rescind_inverse_offers(agent);
    }

    /// Without a word: the framework does not listen or knows already.
    pub(super) fn discard_offers_of(&mut self, framework: &FrameworkId) {
        let offers: Vec<OfferId> = self
            .frameworks
            .get(framework)
            .map(|framework| framework.offers.keys().cloned().collect())
            .unwrap_or_default();
        for offer in offers {
            self.discard_offer(&offer, None);
        }
        self.discard_inverse_offers(framework);
    }

    pub(super) fn offer_due(&mut self, now: Timestamp, id: &OfferId) {
        if self.offers.get(id).is_some_and(|offer| offer.expires <= now) {
            self.rescind(id, Some(now + EXPIRED_REFUSAL));
        }
    }

    pub(super) fn close_stream(&mut self, stream: &super::StreamId) {
        self.streams.remove(stream);
        self.effect(Effect::CloseStream(Arc::clone(stream)));
    }
}

/// The framework's executors on the agent.
fn executors(framework: &super::Framework, agent: &super::Agent) -> Vec<v1::ExecutorId> {
    let own = agent.executors.keys().filter(|(owner, _)| *owner == framework.id);
    own.map(|(_, executor)| executor.into()).collect()
}
