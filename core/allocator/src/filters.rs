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
        let before: BTreeSet<Timestamp> = filters.iter().map(|filter| filter.until).collect();
        // One that says no more than the new one is not needed any longer.
        filters.retain(|old| old.until > until || !refused.contains(&old.refused));
        if filters.len() >= FILTERS_MAX
            && let Some(first) =
                (0..filters.len()).min_by_key(|at| filters.get(*at).map(|filter| filter.until))
        {
            filters.remove(first);
        }
        filters.push(Filter { refused, until });
        // Who declines for a year, again and again, leaves no year of expiries.
        for gone in before.into_iter().filter(|at| filters.iter().all(|left| left.until != *at)) {
            self.expiries.remove(&(gone, agent.clone(), framework.clone(), Arc::clone(role)));
        }
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
        let client = (framework.clone(), Arc::clone(role));
        for (agent, filters) in self.by_client.remove(&client).unwrap_or_default() {
            self.forget(&agent, &client, &filters);
        }
    }

    pub(super) fn forget_framework(&mut self, framework: &FrameworkId) {
        let roles: Vec<Role> = self
            .by_client
            .keys()
            .filter(|(owner, _)| owner == framework)
            .map(|(_, role)| Arc::clone(role))
            .collect();
        for role in roles {
            self.clear(framework, &role);
        }
    }

    pub(super) fn forget_agent(&mut self, agent: &AgentId) {
        let clients = self.by_client.iter_mut();
        let removed: Vec<_> = clients
            .filter_map(|(client, agents)| Some((client.clone(), agents.remove(agent)?)))
            .collect();
        for (client, filters) in removed {
            self.forget(agent, &client, &filters);
        }
    }

    fn forget(&mut self, agent: &AgentId, client: &(FrameworkId, Role), filters: &[Filter]) {
        let (framework, role) = client;
        for Filter { refused: _, until } in filters {
            self.expiries.remove(&(*until, agent.clone(), framework.clone(), Arc::clone(role)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_do_not_outnumber_filters() {
        let (agent, framework, role) =
            (AgentId::from("a"), FrameworkId::from("f"), Role::from("*"));
        let mut filters = Filters::default();
        for at in 0..1000 {
            // Now more of this, now more of that: none says as much as another.
            let refused = format!("cpus:{};mem:{}", 1 + at % 50, 1 + (at * 7) % 50);
            let refused = Resources::parse(&refused, "*").unwrap();
            filters.add(&agent, &framework, &role, refused, Timestamp(1_000_000 + at));
            assert!(filters.expiries.len() <= filters.len(), "{filters:?}");
        }
        assert!(filters.len() <= FILTERS_MAX);
        let mut others = filters.clone();
        others.forget_agent(&agent);
        assert_eq!((others.len(), others.next_expiry()), (0, None));
        filters.forget_framework(&framework);
        assert_eq!((filters.len(), filters.next_expiry()), (0, None));
    }
}
