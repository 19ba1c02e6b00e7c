//! What must hold after every event. Tests and the simulator ask; a master that
//! runs does not pay for it.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_model::id::AgentId;
use karman_model::resource::Resources;

use super::{Agent, Ledger, Presence};

impl Ledger {
    /// Panics with the first rule that is broken.
    pub fn check(&self) {
        let used = self.used_by_agent();
        let mut offered: BTreeMap<&AgentId, Resources> = BTreeMap::new();
        for (id, offer) in &self.offers {
            *offered.entry(&offer.agent).or_default() += &offer.resources;
            let owner = self.frameworks.get(&offer.framework);
            assert!(owner.is_some_and(|owner| owner.offers.contains_key(id)), "{id} has an owner");
        }
        for (id, agent) in &self.agents {
            let nothing = Resources::EMPTY;
            assert_eq!(
                agent.used,
                *used.get(id).unwrap_or(&nothing),
                "{id} uses what its tasks use"
            );
            assert_eq!(
                agent.offered,
                *offered.get(id).unwrap_or(&nothing),
                "{id} offers what is offered"
            );
            self.check_agent(id, agent);
        }
        for (id, framework) in &self.frameworks {
            assert!(
                framework.is_connected() || framework.offers.is_empty(),
                "{id} is away and has no offers"
            );
            framework.tasks.check();
            framework.unreachable.check();
            for (task, record) in framework.tasks.iter() {
                let key = (id.clone(), task.clone());
                let holder = self.agents.get(&record.agent);
                assert!(
                    holder.is_some_and(|holder| holder.tasks.contains(&key)),
                    "{task} is on the books of its agent"
                );
            }
        }
    }

    fn used_by_agent(&self) -> BTreeMap<&AgentId, Resources> {
        let mut used: BTreeMap<&AgentId, Resources> = BTreeMap::new();
        let tasks = self.frameworks.values().flat_map(|framework| framework.tasks.values());
        for task in tasks.filter(|task| !task.is_terminal()) {
            *used.entry(&task.agent).or_default() += &task.resources;
        }
        for (id, agent) in &self.agents {
            for ((framework, executor), record) in &agent.executors {
                *used.entry(id).or_default() += &record.resources;
                let tasks = self.frameworks.get(framework).into_iter();
                let tasks = tasks.flat_map(|owner| owner.tasks.values()).filter(|task| {
                    task.agent == *id
                        && !task.is_terminal()
                        && task.executor.as_ref() == Some(executor)
                });
                let tasks = u32::try_from(tasks.count()).unwrap_or(u32::MAX);
                assert_eq!(record.tasks, tasks, "{executor} is there while it has tasks");
            }
        }
        used
    }

    fn check_agent(&self, id: &AgentId, agent: &Agent) {
        if self.allocator.has_agent(id) {
            // What is shared is on offer while it is in use.
            let spent = (&*agent.used.exclusive() + &agent.offered).unallocated();
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
}
