//! What must hold after every event; for tests.

use karman_model::resource::Resources;

use super::{Ledger, Presence};

impl Ledger {
    /// Panics with the first rule that is broken.
    pub fn check(&self) {
        for (id, agent) in &self.agents {
            let live = |agent_id: &karman_model::id::AgentId| {
                self.frameworks
                    .values()
                    .flat_map(|framework| framework.tasks.values())
                    .filter(|task| task.agent == *agent_id && !task.is_terminal())
                    .map(|task| task.resources.clone())
                    .collect::<Vec<_>>()
            };
            let used: Resources = live(id).iter().sum();
            assert_eq!(agent.used, used, "{id} uses what its tasks use");
            let offered: Vec<Resources> = self
                .offers
                .values()
                .filter(|offer| offer.agent == *id)
                .map(|offer| offer.resources.clone())
                .collect();
            assert_eq!(agent.offered, offered.iter().sum(), "{id} offers what is offered");
            if self.allocator.has_agent(id) {
                let spent = (&agent.used + &agent.offered).unallocated();
                assert!(
                    agent.total.contains(&spent),
                    "{id} gives no more than it has: {spent} of {}",
                    agent.total
                );
                assert_eq!(self.allocator.available(id) + spent, agent.total, "{id} loses nothing");
            }
            if !matches!(agent.presence, Presence::Registered) {
                assert!(agent.offers.is_empty(), "nothing is offered of {id} while it is away");
            }
            for (framework, task) in &agent.tasks {
                let owner = self.frameworks.get(framework);
                assert!(
                    owner.is_some_and(|owner| owner.tasks.contains_key(task)),
                    "{id} has only known tasks"
                );
            }
        }
        for (id, framework) in &self.frameworks {
            assert!(
                framework.is_connected() || framework.offers.is_empty(),
                "{id} is away and has no offers"
            );
        }
        for (id, offer) in &self.offers {
            let owner = self.frameworks.get(&offer.framework);
            assert!(owner.is_some_and(|owner| owner.offers.contains_key(id)), "{id} has an owner");
        }
    }
}
