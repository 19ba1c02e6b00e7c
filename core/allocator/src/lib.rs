//! Decides which framework is offered what. Pure and incremental.
//!
//! Two levels of fair sharing: roles share by weighted dominant share along their
//! tree, and so do the frameworks of a role. Names become small numbers at the
//! edge, shares are kept in order, and everything that changes leaves a note of
//! what has to be looked at: agents of which something became free, frameworks
//! that want more than before, single pairs whose filter ran out.
//! [`Allocator::allocate`] looks at those only, so that its cost follows what
//! changed and not the size of the cluster. After it has run, nothing that is
//! free could be offered to anybody who would be offered it.
//!
//! The rules, for each agent by name:
//!
//! 1. Who wants offers, is not [filtered](Allocator::refuse), is admitted by its
//!    [constraints](Constraints) and finds enough is asked in fair order; roles
//!    that have not got what their [quota](Quota) guarantees come first.
//! 2. The first one gets everything that it may use, within the limits of its
//!    roles and so that what is guaranteed to others stays free in the cluster.
//! 3. If it has declared minimum sizes, another one waits without any offer, and
//!    more of those wait than there are agents left to give, then it gets one
//!    slice of that size instead, and the order is asked again. A size is
//!    multiplied where it is less than a [sixteenth](SLICES_MAX) of the machine.
//!    What nobody takes a slice of in the end goes to those who got one, in fair
//!    order.
//! 4. All that a framework gets of an agent in one role is one [`Grant`].
//! 5. A shared volume goes along with the first grant to a role that may use it,
//!    and is never used up.
#![deny(clippy::disallowed_methods)]

mod agents;
mod bits;
mod carve;
mod client;
pub mod constraints;
mod demand;
mod dims;
mod expected;
mod explain;
mod filters;
mod frameworks;
mod machine;
mod market;
mod pool;
mod quantities;
mod roles;
mod solve;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_model::id::{AgentId, FrameworkId};
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

pub use constraints::Constraints;
pub use demand::{Appetite, CPUS_MIN, Demand, MEM_MIN, Minimums};
pub use explain::{Explanation, Part, Reason, Standing};
pub use machine::{Domain, Machine};
pub use quantities::{Quantities, Quota};
pub use solve::SLICES_MAX;
pub use view::RoleView;

use agents::{Agents, Lookup};
use bits::Bits;
use client::{Client, Framework};
use dims::{Dims, Names};
use expected::Expected;
use filters::Filters;
use pool::{Pool, is_common};
use roles::{Charge, Order, Roles};

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

/// What has to be looked at in the next run.
#[derive(Clone, Debug, Default)]
struct Pending {
    agents: Bits,
    clients: Bits,
    /// Clients by agent.
    pairs: BTreeMap<u32, Vec<u32>>,
    /// There is more room for those that quota held back.
    room: bool,
}

/// See the [crate](self).
#[derive(Clone, Debug)]
pub struct Allocator {
    names: Names,
    /// So many of them are known to the sizes that frameworks declare.
    names_read: usize,
    /// What is worth an offer to frameworks that do not say.
    least: Vec<BTreeMap<String, Quantity>>,
    crumbs: Arc<[Dims]>,
    agents: Agents,
    expected: BTreeMap<AgentId, Expected>,
    /// Of all agents, expected ones too; what can be taken back counts for nobody.
    capacity: Dims,
    frameworks: Lookup<FrameworkId, Framework>,
    clients: Vec<Option<Client>>,
    spare_clients: Vec<u32>,
    roles: Roles,
    order: Order,
    filters: Filters,
    /// Clients that want offers, that take accelerators, that take machines of
    /// other regions, and that have offers.
    placed: Bits,
    gpu: Bits,
    aware: Bits,
    holding: Bits,
    /// Clients that quota kept from something, and agents that it was kept on.
    held_back: Bits,
    withheld: Bits,
    pending: Pending,
    home: Option<String>,
    paused: bool,
}

impl Default for Allocator {
    fn default() -> Self {
        let least = |name: &str, amount| BTreeMap::from([(name.to_owned(), amount)]);
        let mut allocator = Self {
            names: Names::default(),
            names_read: 0,
            least: Vec::new(),
            crumbs: Arc::default(),
            agents: Agents::default(),
            expected: BTreeMap::new(),
            capacity: Dims::default(),
            frameworks: Lookup::default(),
            clients: Vec::new(),
            spare_clients: Vec::new(),
            roles: Roles::default(),
            order: Order::default(),
            filters: Filters::default(),
            placed: Bits::default(),
            gpu: Bits::default(),
            aware: Bits::default(),
            holding: Bits::default(),
            held_back: Bits::default(),
            withheld: Bits::default(),
            pending: Pending::default(),
            home: None,
            paused: false,
        };
        allocator.set_least(vec![least("cpus", CPUS_MIN), least("mem", MEM_MIN)]);
        allocator
    }
}

impl Allocator {
    /// What is worth an offer to frameworks that declare no minimums: any of
    /// these.
    pub fn set_least(&mut self, alternatives: Vec<BTreeMap<String, Quantity>>) {
        self.least = alternatives;
        self.reread_sizes();
        self.pending.agents.add_all(&self.agents.offerable);
    }

    /// The region of the master: only frameworks that are aware of regions are
    /// offered machines of another one.
    pub fn set_home_region(&mut self, region: Option<String>) {
        self.home = region;
        let agents: Vec<(u32, bool)> =
            self.agents.iter().map(|(agent, pool)| (agent, self.is_remote(pool))).collect();
        for (agent, remote) in agents {
            self.agents.change(agent, |pool| pool.remote = remote);
            self.pending.agents.insert(agent);
        }
    }

    /// Everything of a new agent is free.
    pub fn add_agent(&mut self, agent: &AgentId, machine: Machine) {
        if self.agents.number(agent).is_some() {
            return self.update_agent(agent, machine);
        }
        self.expect_no_longer(agent);
        let mut pool = Pool::new(agent.clone(), machine, &mut self.names);
        pool.remote = self.is_remote(&pool);
        self.order.total.add(&pool.total);
        if pool.plain {
            self.capacity.add(&pool.total);
        } else {
            let total = pool.machine().total.clone();
            self.capacity.add(&self.countable(&total));
            self.reserve(&total);
        }
        let at = self.agents.insert(pool);
        self.resized();
        self.stirred(at);
    }

    /// The agent has more, less or something else than before; what is charged
    /// stays charged.
    pub fn update_agent(&mut self, agent: &AgentId, machine: Machine) {
        let Some(at) = self.agents.number(agent) else { return };
        let Some(pool) = self.agents.get(at) else { return };
        let (old, before) = (pool.machine().clone(), pool.total.clone());
        let moved = (&old.hostname, &old.attributes, &old.domain)
            != (&machine.hostname, &machine.attributes, &machine.domain);
        self.unreserve(&old.total);
        self.reserve(&machine.total);
        self.capacity.sub(&self.countable(&old.total));
        self.capacity.add(&self.countable(&machine.total));
        let home = self.home.clone();
        let names = &mut self.names;
        self.agents.change(at, |pool| {
            pool.update(machine, names);
            pool.remote = is_remote(home.as_deref(), pool);
        });
        if moved {
            self.clients.iter_mut().flatten().for_each(|client| client.forget_agent(at));
        }
        self.retotal(at, &before);
        self.stirred(at);
    }

    /// What is still charged stays on the accounts of its frameworks until it is
    /// released.
    pub fn remove_agent(&mut self, agent: &AgentId) {
        self.expect_no_longer(agent);
        let Some((at, pool)) = self.agents.remove(agent) else { return };
        self.order.total.sub(&pool.total);
        self.order.stale = true;
        self.capacity.sub(&self.countable(&pool.machine().total));
        self.unreserve(&pool.machine().total);
        self.filters.forget_agent(at);
        self.clients.iter_mut().flatten().for_each(|client| client.forget_agent(at));
        self.pending.agents.remove(at);
        self.pending.pairs.remove(&at);
        self.withheld.remove(at);
    }

    /// Nothing of an inactive agent is offered.
    pub fn set_agent_active(&mut self, agent: &AgentId, active: bool) {
        if let Some(at) = self.agents.number(agent) {
            self.agents.change(at, |pool| pool.active = active);
            self.stirred(at);
        }
    }

    pub fn has_agent(&self, agent: &AgentId) -> bool {
        self.agents.number(agent).is_some()
    }

    /// What is free of an agent, without shared volumes.
    pub fn available(&self, agent: &AgentId) -> Resources {
        let pool = self.agents.number(agent).and_then(|at| self.agents.get(at));
        pool.map(|pool| pool.available().clone()).unwrap_or_default()
    }

    /// Puts resources on a framework's account that are found in use. What
    /// [`allocate`](Self::allocate) grants is charged already.
    pub fn charge(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        resources: &Resources,
    ) {
        self.charge_all(agent, std::iter::once((framework, role, resources)));
    }

    /// [Charges](Self::charge) several accounts for what they have of one agent.
    pub fn charge_all<'a>(
        &mut self,
        agent: &AgentId,
        charges: impl Iterator<Item = (&'a FrameworkId, &'a Role, &'a Resources)>,
    ) {
        let mut sum = Resources::EMPTY;
        for (framework, role, resources) in charges {
            sum += &resources.unallocated();
            let charge = self.measure(resources);
            let client = self.client_of(framework, role);
            self.put_on_account(client, &charge);
        }
        if let Some(at) = self.agents.number(agent) {
            let names = &self.names;
            self.agents.change(at, |pool| pool.take(&sum, names));
        }
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
        let charge = self.measure(resources);
        if let Some(client) = self.known_client(framework, role) {
            self.take_off_account(client, &charge);
            self.forget_if_idle(client);
        }
        if let Some(at) = self.agents.number(agent) {
            let names = &self.names;
            self.agents.change(at, |pool| pool.give(resources.unallocated(), names));
            self.stirred(at);
        }
        self.pending.room = true;
    }

    /// What was granted to the framework is no longer merely offered: it has
    /// taken it, or will [release](Self::release) it.
    pub fn settle(&mut self, framework: &FrameworkId, role: &Role, resources: &Resources) {
        let Some(at) = self.known_client(framework, role) else { return };
        let charge = self.measure(resources);
        let Some(client) = self.client_mut(at) else { return };
        client.offers = client.offers.saturating_sub(1);
        let (role, offers) = (client.role, client.offers);
        self.holding.put(at, offers > 0);
        self.roles.settle(role, &charge.common);
        self.forget_if_idle(at);
    }

    /// What the framework holds of the agent becomes something else, such as a
    /// reservation; what the agent has changes with it.
    pub fn convert(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        from: &Resources,
        to: &Resources,
    ) {
        let (from, to) = (from.unallocated(), to.unallocated());
        if let Some(at) = self.agents.number(agent) {
            let total = |agents: &Agents| {
                agents.get(at).map(|pool| pool.machine().total.clone()).unwrap_or_default()
            };
            let reserved = total(&self.agents);
            let before = self.agents.get(at).map(|pool| pool.total.clone()).unwrap_or_default();
            let names = &mut self.names;
            self.agents.change(at, |pool| pool.convert(&from, &to, names));
            // As a whole: each kind holds its role once, however much there is
            // of it.
            let reserves = total(&self.agents);
            self.reserve(&reserves);
            self.unreserve(&reserved);
            self.retotal(at, &before);
        }
        let (less, more) = (self.measure(&from), self.measure(&to));
        let client = self.client_of(framework, role);
        self.put_on_account(client, &more);
        self.take_off_account(client, &less);
        self.pending.room = true;
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
        let refused = resources.unallocated();
        let refused = if refused.iter().any(|it| it.kind.shared) {
            refused.exclusive().into_owned()
        } else {
            refused
        };
        let is_in = self.frameworks.get(framework).is_some_and(|it| it.demand.roles.contains(role));
        if refused.is_empty() || !is_in {
            return;
        }
        let client = self.known_client(framework, role);
        if let (Some(client), Some(at)) = (client, self.agents.number(agent))
            && let Some(pool) = self.agents.get(at)
        {
            self.filters.add((client, at), refused, until, pool.available());
        }
    }

    /// How much more than its siblings in the tree the role is owed; `None`: 1.
    pub fn set_weight(&mut self, role: &Role, weight: Option<f64>) {
        self.roles.set_weight(role, weight);
        self.order.stale = true;
    }

    /// What the role and those below it are guaranteed and may have at most;
    /// `None`: nothing and everything.
    pub fn set_quota(&mut self, role: &Role, quota: Option<Quota>) {
        self.roles.set_quota(role, quota, &mut self.names);
        self.pending.agents.add_all(&self.agents.offerable);
        self.resized();
    }

    /// Nothing is offered until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.paused = true;
    }

    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// When [`allocate`](Self::allocate) has something to do without a change: a
    /// filter runs out.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.filters.next_expiry().filter(|_| !self.paused)
    }

    /// How many agents the frameworks of each role decline together.
    pub fn filters_by_role(&self) -> BTreeMap<Role, usize> {
        let mut all = BTreeMap::new();
        for (at, client) in (0u32..).zip(&self.clients) {
            let Some(client) = client else { continue };
            let role = Role::clone(&self.roles.node(client.role).name);
            *all.entry(role).or_default() += self.filters.of_client(at);
        }
        all
    }

    pub fn filter_count(&self) -> usize {
        self.filters.len()
    }

    fn is_remote(&self, pool: &Pool) -> bool {
        is_remote(self.home.as_deref(), pool)
    }

    /// Something of the agent became free, or may be offered to others.
    fn stirred(&mut self, agent: u32) {
        self.filters.stir(agent);
        self.pending.agents.insert(agent);
        self.pending.room = true;
    }

    /// What the agent has is another amount than before.
    fn retotal(&mut self, agent: u32, before: &Dims) {
        let Some(pool) = self.agents.get(agent) else { return };
        let mut change = pool.total.clone();
        change.sub(before);
        if !change.is_zero() {
            self.order.total.add(&change);
            self.resized();
        }
    }

    /// Every share has changed; sizes may have got names that fit somewhere now.
    fn resized(&mut self) {
        self.order.stale = true;
        if self.names.len() > self.names_read {
            self.names_read = self.names.len();
            self.reread_sizes();
        }
    }

    /// Reservations count for their role even when nobody uses them.
    fn reserve(&mut self, resources: &Resources) {
        for (owner, amounts) in self.reservations(resources) {
            let role = self.roles.hold(&owner);
            self.roles.reserve(role, &amounts);
        }
    }

    fn unreserve(&mut self, resources: &Resources) {
        for (owner, amounts) in self.reservations(resources) {
            if let Some(role) = self.roles.get(&owner) {
                self.roles.unreserve(role, &amounts);
                self.roles.let_go(role);
            }
        }
        self.pending.room = true;
    }

    /// By resource, so that what is put in and taken out need not be the same
    /// sets: each holds its role once.
    fn reservations(&mut self, resources: &Resources) -> Vec<(Role, Dims)> {
        self.names.intern_all(resources);
        let mut all = Vec::new();
        for resource in resources.iter().filter(|resource| !resource.kind.revocable) {
            if let Some(level) = resource.kind.reservations.last() {
                let mut amounts = Dims::default();
                if let Some((at, amount)) = self.names.amount(resource) {
                    amounts.set(at, amount);
                }
                all.push((Role::clone(&level.role), amounts));
            }
        }
        all
    }

    fn measure(&mut self, resources: &Resources) -> Charge {
        self.names.intern_all(resources);
        Charge {
            all: self.names.sum(resources, |resource| !resource.kind.shared),
            common: self.names.sum(resources, is_common),
        }
    }
}

fn is_remote(home: Option<&str>, pool: &Pool) -> bool {
    match (home, &pool.machine().domain) {
        (Some(home), Some(domain)) => domain.region != home,
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests;
