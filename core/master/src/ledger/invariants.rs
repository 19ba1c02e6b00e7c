//! What must hold after every event. Tests and the simulator ask; a master that
//! runs does not pay for it.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_allocator::Quantities;
use karman_model::id::AgentId;
use karman_model::quantity::Quantity;
use karman_model::resource::{Resource, Resources, Value};

use super::quota::{amount, lineage};
use super::{Agent, Ledger, Presence};

impl Ledger {
    /// Panics with the first rule that is broken.
    pub fn check(&self) {
        self.check_accounts();
        self.check_offers();
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
            let executors = self.agents.values().flat_map(|agent| &agent.executors);
            let own = executors.filter(|((owner, _), _)| owner == id);
            assert_eq!(
                framework.employed.total(),
                own.map(|(_, executor)| &executor.resources).sum(),
                "{id} uses what its executors use"
            );
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

    /// The account of the allocator is what one finds by counting everything.
    fn check_accounts(&self) {
        let awaited = self.agents.values().filter(|agent| agent.is_awaited()).count();
        assert_eq!(self.recovering, awaited, "awaited agents are counted");
        let (mut capacity, mut consumed) = (Counted::default(), Counted::default());
        let there = |agent: &&Arc<Agent>| !matches!(agent.presence, Presence::Unreachable { .. });
        for agent in self.agents.values().filter(there) {
            for (resource, amount) in countable(&agent.total) {
                capacity.add("", resource, amount);
                resource.kind.reserved_to().into_iter().for_each(|role| {
                    consumed.add(role, resource, amount);
                });
            }
        }
        let executors = self.agents.values().flat_map(|agent| agent.executors.values());
        let executors = executors.map(|executor| (&*executor.role, &executor.resources));
        let tasks = self.frameworks.values().flat_map(|framework| framework.tasks.values());
        let tasks = tasks.filter(|task| !task.is_terminal());
        let tasks = tasks.map(|task| (&*task.role, &*task.resources));
        for (role, resources) in executors.chain(tasks) {
            for (resource, amount) in countable(resources) {
                if resource.kind.reservations.is_empty() {
                    consumed.add(role, resource, amount);
                }
            }
        }
        let known = self.allocator.capacity();
        capacity.check("", &known, "the capacity of the cluster");
        for role in consumed.roles() {
            consumed.check(role, &self.allocator.consumption(role), "what is consumed");
        }
    }

    /// Nobody could come to have more than he may, and nobody is asked to leave
    /// without a reason.
    fn check_offers(&self) {
        for (role, quota) in &*self.registry.quotas {
            let (consumed, claimed) = (self.consumed(role), self.claimed(role));
            for (name, limit) in &quota.limits {
                let (has, might) = (amount(&consumed, name), amount(&claimed, name));
                assert!(
                    might <= *limit || might == has,
                    "{role} is offered {name} beyond its limit {limit}: it has {has} of {might}"
                );
            }
        }
        for offer in self.registry.inverse.offers.values() {
            let agent = self.agents.get(&offer.agent).and_then(|agent| agent.unavailability());
            assert_eq!(agent, Some(offer.unavailability), "{} is about what is planned", offer.id);
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
                assert_eq!(record.tasks, tasks, "{executor} has the tasks that it has");
                assert!(record.stays || tasks > 0, "{executor} is there for something");
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
            // What is shared may be in several offers, or in none.
            assert_eq!(
                (self.allocator.available(id) + spent).exclusive(),
                agent.total.exclusive(),
                "{id} loses nothing"
            );
        }
        if !agent.is_active() {
            assert!(agent.offers.is_empty(), "nothing is offered of {id}, which is not in use");
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

/// By role and name.
#[derive(Default)]
struct Counted<'a>(BTreeMap<(&'a str, &'a str), Quantity>);

impl<'a> Counted<'a> {
    /// On the account of the role and of all above it.
    fn add(&mut self, role: &'a str, resource: &'a Resource, amount: Quantity) {
        for above in lineage(role) {
            *self.0.entry((above, &resource.kind.name)).or_default() += amount;
        }
    }

    fn roles(&self) -> BTreeSet<&'a str> {
        self.0.keys().map(|(role, _)| *role).collect()
    }

    fn check(&self, role: &str, known: &Quantities, what: &str) {
        let here = self.0.range((role, "")..).take_while(|((owner, _), _)| *owner == role);
        let here = here.filter(|(_, amount)| !amount.is_zero());
        let here: BTreeMap<&str, Quantity> =
            here.map(|((_, name), amount)| (*name, *amount)).collect();
        let known: BTreeMap<&str, Quantity> =
            known.iter().map(|(name, amount)| (&**name, amount)).collect();
        assert_eq!(known, here, "{what} by '{role}'");
    }
}

/// What can be taken back counts for nobody.
fn countable(resources: &Resources) -> impl Iterator<Item = (&Resource, Quantity)> {
    resources.iter().filter(|resource| !resource.kind.revocable).filter_map(|resource| {
        match &resource.value {
            Value::Scalar(amount) => Some((resource, *amount)),
            Value::Ranges(_) | Value::Set(_) => None,
        }
    })
}
