//! What frameworks have declined, and until when they do not want it again.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::Role;

/// Of one framework in one role for one agent; the one that ends first gives
/// way.
const FILTERS_MAX: usize = 8;

#[derive(Clone, Debug)]
struct Filter {
    refused: Resources,
    until: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    by_client: BTreeMap<(FrameworkId, Role), BTreeMap<AgentId, Vec<Filter>>>,
    expiries: BTreeSet<(Timestamp, AgentId, FrameworkId, Role)>,
}

impl Filters {
    pub(super) fn add(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        refused: Resources,
        until: Timestamp,
    ) {
        let agents = self.by_client.entry((framework.clone(), Arc::clone(role))).or_default();
        let filters = agents.entry(agent.clone()).or_default();
        // One that says no more than the new one is not needed any longer; its
        // expiry only makes the allocator look once more.
        filters.retain(|old| old.until > until || !refused.contains(&old.refused));
        if filters.len() >= FILTERS_MAX
            && let Some(first) =
                (0..filters.len()).min_by_key(|at| filters.get(*at).map(|filter| filter.until))
        {
            filters.remove(first);
        }
        filters.push(Filter { refused, until });
        self.expiries.insert((until, agent.clone(), framework.clone(), Arc::clone(role)));
    }

    /// Whether the framework has declined this much or more.
    pub(super) fn refuses(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        offer: &Resources,
    ) -> bool {
        self.by_client
            .get(&(framework.clone(), Arc::clone(role)))
            .and_then(|agents| agents.get(agent))
            .is_some_and(|filters| filters.iter().any(|filter| filter.refused.contains(offer)))
    }

    pub(super) fn clear(&mut self, framework: &FrameworkId, role: &Role) {
        self.by_client.remove(&(framework.clone(), Arc::clone(role)));
    }

    pub(super) fn forget_framework(&mut self, framework: &FrameworkId) {
        self.by_client.retain(|(owner, _), _| owner != framework);
    }

    pub(super) fn forget_agent(&mut self, agent: &AgentId) {
        for agents in self.by_client.values_mut() {
            agents.remove(agent);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(until, ..)| *until)
    }

    pub(super) fn len(&self) -> usize {
        self.by_client.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    /// Drops what has run out and says which agents to look at again.
    pub(super) fn expire(&mut self, now: Timestamp) -> BTreeSet<AgentId> {
        let mut agents = BTreeSet::new();
        while let Some((until, ..)) = self.expiries.first()
            && *until <= now
            && let Some((_, agent, framework, role)) = self.expiries.pop_first()
        {
            if let Some(by_agent) = self.by_client.get_mut(&(framework, role))
                && let Some(filters) = by_agent.get_mut(&agent)
            {
                filters.retain(|filter| filter.until > now);
                if filters.is_empty() {
                    by_agent.remove(&agent);
                }
            }
            agents.insert(agent);
        }
        agents
    }
}
