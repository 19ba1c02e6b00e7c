//! Decides which framework is offered what. Pure and incremental.
//!
//! Two levels of fair sharing by dominant resource: first over roles, then over
//! the frameworks of a role. Everything that changes what could be offered puts
//! its agent on a list, and [`Allocator::allocate`] looks at that list only: its
//! cost follows what changed, not the size of the cluster. One framework gets
//! all that it may use of an agent.
#![deny(clippy::disallowed_methods)]

pub mod constraints;
mod demand;
mod filters;
mod machine;
mod pool;
mod quantities;
mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

pub use constraints::Constraints;
pub use demand::{Appetite, CPUS_MIN, Demand, MEM_MIN, Minimums};
pub use machine::{Domain, Machine};
pub use quantities::{Quantities, Quota};

use filters::Filters;
use pool::Pool;
use shares::Shares;

/// The name of a role.
pub type Role = Arc<str>;

/// So much of one agent goes to one framework in one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub agent: AgentId,
    pub framework: FrameworkId,
    pub role: Role,
    /// On the account of the role.
    pub resources: Resources,
}

#[derive(Clone, Debug, Default)]
pub struct Allocator {
    pools: BTreeMap<AgentId, Pool>,
    clients: BTreeMap<FrameworkId, Demand>,
    weights: BTreeMap<Role, f64>,
    quotas: BTreeMap<Role, Quota>,
    paused: bool,
    shares: Shares,
    filters: Filters,
    /// Agents of which something may be offered to somebody.
    offerable: BTreeSet<AgentId>,
    /// Agents to look at in the next run.
    pending: BTreeSet<AgentId>,
}

impl Allocator {
    /// Everything of a new agent is free.
    pub fn add_agent(&mut self, agent: &AgentId, machine: Machine) {
        self.shares.add_total(&Quantities::of(&machine.total));
        self.pools.insert(agent.clone(), Pool::new(machine));
        self.changed(agent);
    }

    /// The agent has more, less or something else than before; what is charged
    /// stays charged.
    pub fn update_agent(&mut self, agent: &AgentId, machine: Machine) {
        let Some(pool) = self.pools.get_mut(agent) else { return };
        self.shares.sub_total(&Quantities::of(pool.total()));
        self.shares.add_total(&Quantities::of(&machine.total));
        pool.update(machine);
        self.changed(agent);
    }

    /// What is still charged stays on the accounts of its frameworks until it is
    /// released.
    pub fn remove_agent(&mut self, agent: &AgentId) {
        if let Some(pool) = self.pools.remove(agent) {
            self.shares.sub_total(&Quantities::of(pool.total()));
        }
        self.filters.forget_agent(agent);
        self.offerable.remove(agent);
        self.pending.remove(agent);
    }

    /// Nothing of an inactive agent is offered.
    pub fn set_agent_active(&mut self, agent: &AgentId, active: bool) {
        if let Some(pool) = self.pools.get_mut(agent) {
            pool.active = active;
            self.changed(agent);
        }
    }

    pub fn has_agent(&self, agent: &AgentId) -> bool {
        self.pools.contains_key(agent)
    }

    /// Adds a framework or replaces what is known of it; its accounts stay.
    pub fn put_framework(&mut self, framework: &FrameworkId, demand: Demand) {
        self.clients.insert(framework.clone(), demand);
        self.refresh(framework);
        self.pending.extend(self.offerable.iter().cloned());
    }

    pub fn remove_framework(&mut self, framework: &FrameworkId) {
        self.clients.remove(framework);
        self.filters.forget_framework(framework);
        self.refresh(framework);
    }

    /// An inactive framework is offered nothing.
    pub fn set_framework_active(&mut self, framework: &FrameworkId, active: bool) {
        let Some(client) = self.clients.get_mut(framework) else { return };
        client.active = active;
        self.refresh(framework);
        if active {
            self.pending.extend(self.offerable.iter().cloned());
        } else {
            self.filters.forget_framework(framework);
        }
    }

    /// No offers for `roles` (all, if empty) until they are revived.
    pub fn suppress(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        let Some(client) = self.clients.get_mut(framework) else { return };
        let roles = if roles.is_empty() { client.roles.clone() } else { roles.clone() };
        client.suppressed.extend(roles);
        self.refresh(framework);
    }

    /// Ends suppression and filters of `roles` (all, if empty).
    pub fn revive(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        let Some(client) = self.clients.get_mut(framework) else { return };
        let roles = if roles.is_empty() { client.roles.clone() } else { roles.clone() };
        for role in &roles {
            client.suppressed.remove(role);
            self.filters.clear(framework, role);
        }
        self.refresh(framework);
        self.pending.extend(self.offerable.iter().cloned());
    }

    /// Puts resources on a framework's account, whether they were offered or
    /// are found in use.
    pub fn charge(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        resources: &Resources,
    ) {
        if let Some(pool) = self.pools.get_mut(agent) {
            pool.take(&resources.unallocated());
            self.changed(agent);
        }
        self.shares.charge(framework, role, &Quantities::of(resources));
    }

    /// Takes resources off a framework's account; they can be offered at once.
    pub fn release(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        resources: &Resources,
    ) {
        if resources.is_empty() {
            return;
        }
        self.shares.release(framework, role, &Quantities::of(resources));
        if let Some(pool) = self.pools.get_mut(agent) {
            pool.give(&resources.unallocated());
            self.changed(agent);
        }
    }

    /// What was offered to the framework is no longer merely offered: it has
    /// taken it, or will [release](Self::release) it.
    pub fn settle(&mut self, _framework: &FrameworkId, _role: &Role, _resources: &Resources) {}

    /// What the framework holds of the agent becomes something else, such as a
    /// reservation; the agent's total changes with it.
    pub fn convert(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        from: &Resources,
        to: &Resources,
    ) {
        if let Some(pool) = self.pools.get_mut(agent) {
            self.shares.sub_total(&Quantities::of(pool.total()));
            pool.convert(&from.unallocated(), &to.unallocated());
            self.shares.add_total(&Quantities::of(pool.total()));
        }
        self.shares.release(framework, role, &Quantities::of(from));
        self.shares.charge(framework, role, &Quantities::of(to));
    }

    /// How much more than others the role is owed at its level of the tree of
    /// roles; `None`: 1.
    pub fn set_weight(&mut self, role: &Role, weight: Option<f64>) {
        match weight {
            Some(weight) => self.weights.insert(Arc::clone(role), weight),
            None => self.weights.remove(role),
        };
    }

    /// What the role and those below it are promised and may have at most.
    pub fn set_quota(&mut self, role: &Role, quota: Option<Quota>) {
        match quota {
            Some(quota) => self.quotas.insert(Arc::clone(role), quota),
            None => self.quotas.remove(role),
        };
    }

    /// Nothing is offered until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.paused = true;
    }

    pub fn resume(&mut self) {
        self.paused = false;
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The framework does not want these, or less, from this agent until then.
    pub fn refuse(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        resources: &Resources,
        until: Timestamp,
    ) {
        if !resources.is_empty() && self.clients.contains_key(framework) {
            self.filters.add(agent, framework, role, resources.unallocated(), until);
        }
    }

    /// When [`allocate`](Self::allocate) has something to do without a change:
    /// a filter runs out.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.filters.next_expiry().filter(|_| !self.paused)
    }

    pub fn filter_count(&self) -> usize {
        self.filters.len()
    }

    /// Gives away all that somebody wants of the agents that changed.
    pub fn allocate(&mut self, now: Timestamp) -> Vec<Grant> {
        if self.paused {
            return Vec::new();
        }
        self.pending.extend(self.filters.expire(now));
        let mut grants = Vec::new();
        for agent in std::mem::take(&mut self.pending) {
            while let Some(grant) = self.pick(&agent) {
                self.charge(&agent, &grant.framework, &grant.role, &grant.resources);
                grants.push(grant);
            }
        }
        self.pending.clear();
        grants
    }

    /// The framework that is owed most among those that take something.
    fn pick(&self, agent: &AgentId) -> Option<Grant> {
        let pool = self.pools.get(agent).filter(|pool| pool.is_offerable())?;
        for (role, framework) in self.shares.in_order() {
            let Some(client) = self.clients.get(framework) else { continue };
            if !client.constraints.admit(role, pool.machine()) {
                continue;
            }
            let resources = pool.usable(role, client.appetite);
            if client.wants(role, &resources)
                && !self.filters.refuses(agent, framework, role, &resources)
            {
                return Some(Grant {
                    agent: agent.clone(),
                    framework: framework.clone(),
                    role: Arc::clone(role),
                    resources: resources.allocated_to(role),
                });
            }
        }
        None
    }

    fn changed(&mut self, agent: &AgentId) {
        if self.pools.get(agent).is_some_and(Pool::is_offerable) {
            self.offerable.insert(agent.clone());
            self.pending.insert(agent.clone());
        } else {
            self.offerable.remove(agent);
        }
    }

    /// Brings the framework's places in the order up to date.
    fn refresh(&mut self, framework: &FrameworkId) {
        let places = match self.clients.get(framework) {
            Some(client) if client.active => {
                client.roles.difference(&client.suppressed).cloned().collect()
            }
            Some(_) | None => BTreeSet::new(),
        };
        self.shares.set_places(framework, &places);
    }

    /// What is free of an agent.
    pub fn available(&self, agent: &AgentId) -> Resources {
        self.pools.get(agent).map(|pool| pool.available().clone()).unwrap_or_default()
    }
}

impl Demand {
    /// Whether it is worth an offer.
    fn wants(&self, role: &Role, resources: &Resources) -> bool {
        if resources.is_empty() {
            return false;
        }
        match self.minimums.get(role) {
            Some(alternatives) if !alternatives.is_empty() => alternatives
                .iter()
                .any(|least| least.iter().all(|(name, amount)| resources.scalar(name) >= *amount)),
            Some(_) => true,
            None => resources.scalar("cpus") >= CPUS_MIN || resources.scalar("mem") >= MEM_MIN,
        }
    }
}

#[cfg(test)]
mod tests;
