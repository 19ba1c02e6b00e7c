//! The slow allocator: it knows nothing but what is true now, and finds out
//! everything else anew each time. The oracle for the fast one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use karman_model::id::{AgentId, FrameworkId};
use karman_model::quantity::Quantity;
use karman_model::resource::{Resources, Value};
use karman_model::role::{is_below, may_use};
use karman_model::time::Timestamp;

use crate::{CPUS_MIN, Demand, Grant, MEM_MIN, Quantities, Quota, Role};

pub(super) type Client = (FrameworkId, Role);

#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    pub(super) agents: BTreeMap<AgentId, Resources>,
    pub(super) demands: BTreeMap<FrameworkId, Demand>,
    pub(super) charges: BTreeMap<Client, Vec<(AgentId, Resources)>>,
    pub(super) filters: Vec<(AgentId, Client, Resources, Timestamp)>,
    pub(super) weights: BTreeMap<Role, f64>,
    pub(super) quotas: BTreeMap<Role, Quota>,
    /// How often a client, all clients of a role and all below it got something.
    counts: BTreeMap<Client, u64>,
    own_counts: BTreeMap<Role, u64>,
    all_counts: BTreeMap<Role, u64>,
}

/// A part of the cluster; larger parts are larger whatever their denominators.
#[derive(Clone, Copy, Debug)]
struct Share(i128, i128);

impl Share {
    fn cmp(self, other: Self) -> Ordering {
        (self.0 * other.1).cmp(&(other.0 * self.1))
    }
}

fn lineage(role: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(role), |role| role.rsplit_once('/').map(|(above, _)| above))
}

fn is_within(role: &str, above: &str) -> bool {
    role == above || is_below(role, above)
}

fn common(resources: &Resources, name: &str) -> i64 {
    resources
        .filter(|kind| kind.reservations.is_empty() && !kind.revocable)
        .scalar(name)
        .thousandths()
}

impl Reference {
    pub(super) fn available(&self, agent: &AgentId) -> Resources {
        let held = self.charges.values().flatten().filter(|(at, _)| at == agent);
        held.fold(self.agents[agent].clone(), |left, (_, held)| left.saturating_sub(held))
    }

    pub(super) fn charge(&mut self, client: &Client, agent: &AgentId, resources: &Resources) {
        self.charges
            .entry(client.clone())
            .or_default()
            .push((agent.clone(), resources.unallocated()));
        *self.counts.entry(client.clone()).or_default() += 1;
        *self.own_counts.entry(client.1.clone()).or_default() += 1;
        for role in lineage(&client.1) {
            *self.all_counts.entry(role.into()).or_default() += 1;
        }
    }

    pub(super) fn release(&mut self, client: &Client, agent: &AgentId, resources: &Resources) {
        let resources = resources.unallocated();
        let held = self.charges.get_mut(client).unwrap();
        let at = held.iter().position(|it| *it == (agent.clone(), resources.clone())).unwrap();
        held.remove(at);
        if held.is_empty() {
            self.charges.remove(client);
        }
    }

    /// Who has nothing and wants nothing is forgotten, and so is a role of which
    /// nothing is known.
    pub(super) fn tidy(&mut self) {
        let Self {
            agents, demands, charges, counts, own_counts, all_counts, weights, quotas, ..
        } = self;
        let is_known = |(framework, role): &Client| {
            charges.contains_key(&(framework.clone(), role.clone()))
                || demands.get(framework).is_some_and(|demand| demand.roles.contains(role))
        };
        counts.retain(|client, _| is_known(client));
        let mut roles: BTreeSet<Role> = charges.keys().map(|(_, role)| role.clone()).collect();
        roles.extend(demands.values().flat_map(|demand| demand.roles.iter().cloned()));
        roles.extend(agents.values().flat_map(Resources::reserved_roles).map(Role::from));
        roles.extend(weights.keys().chain(quotas.keys()).cloned());
        let exists = |role: &Role| roles.iter().any(|known| is_within(known, role));
        own_counts.retain(|role, _| exists(role));
        all_counts.retain(|role, _| exists(role));
    }

    pub(super) fn wanting(&self) -> Vec<Client> {
        let active = self.demands.iter().filter(|(_, demand)| demand.active);
        active
            .flat_map(|(id, demand)| {
                demand.roles.difference(&demand.suppressed).map(|role| (id.clone(), role.clone()))
            })
            .collect()
    }

    fn share(&self, weight: f64, is_meant: impl Fn(&Client) -> bool) -> Share {
        let total: Resources = self.agents.values().sum();
        let mut held: BTreeMap<String, i64> = BTreeMap::new();
        for (_, charges) in self.charges.iter().filter(|(client, _)| is_meant(client)) {
            for resource in charges.iter().flat_map(|(_, resources)| resources) {
                if let Value::Scalar(amount) = &resource.value {
                    *held.entry(resource.kind.name.to_string()).or_default() +=
                        amount.thousandths();
                }
            }
        }
        // Tests use whole weights.
        let weight = i128::from(Quantity::from_f64(weight).unwrap().thousandths()) * 1000;
        let mut largest = Share(0, 1);
        for (name, amount) in held {
            let of = i128::from(total.scalar(&name).thousandths());
            let share = Share(i128::from(amount) * 1_000_000, of * weight);
            if of > 0 && share.cmp(largest).is_gt() {
                largest = share;
            }
        }
        largest
    }

    /// The clients below `role` (or in all roles) from the one that is owed most.
    pub(super) fn in_order(&self, clients: &[Client], role: Option<&str>) -> Vec<Client> {
        let mut own: Vec<Client> =
            clients.iter().filter(|client| Some(&*client.1) == role).cloned().collect();
        own.sort_by(|a, b| {
            let share = |client: &Client| self.share(1.0, |other| other == client);
            let count = |client: &Client| self.counts.get(client).copied().unwrap_or(0);
            share(a).cmp(share(b)).then(count(a).cmp(&count(b))).then(a.cmp(b))
        });
        let children: BTreeSet<Role> = clients
            .iter()
            .filter_map(|(_, below)| {
                let rest = match role {
                    Some(role) => below.strip_prefix(role)?.strip_prefix('/')?,
                    None => below,
                };
                let first = rest.split('/').next()?;
                Some(role.map_or(first.into(), |role| format!("{role}/{first}").into()))
            })
            .collect();
        let mut groups: Vec<(Share, u64, Role, Vec<Client>)> = Vec::new();
        if let Some(role) = role.filter(|_| !own.is_empty()) {
            let count = self.own_counts.get(role).copied().unwrap_or(0);
            groups.push((self.share(1.0, |client| *client.1 == *role), count, role.into(), own));
        }
        for child in children {
            let weight = self.weights.get(&child).copied().unwrap_or(1.0);
            let share = self.share(weight, |client| is_within(&client.1, &child));
            let count = self.all_counts.get(&child).copied().unwrap_or(0);
            groups.push((share, count, child.clone(), self.in_order(clients, Some(&child))));
        }
        groups.sort_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        groups.into_iter().flat_map(|(.., clients)| clients).collect()
    }

    /// What the client would be offered of the agent, if anything.
    pub(super) fn offer(
        &self,
        now: Timestamp,
        client: &Client,
        agent: &AgentId,
    ) -> Option<Resources> {
        let demand = &self.demands[&client.0];
        let appetite = demand.appetite;
        if self.agents[agent].scalar("gpus").is_positive() && !appetite.gpu {
            return None;
        }
        let usable = self.available(agent).filter(|kind| {
            kind.is_usable_by(&client.1)
                && (appetite.revocable || !kind.revocable)
                && (appetite.refined || !kind.is_refined())
        });
        let offer: Resources = usable
            .iter()
            .map(|resource| {
                let mut resource = resource.clone();
                if let Value::Scalar(amount) = &mut resource.value
                    && resource.kind.reservations.is_empty()
                    && !resource.kind.revocable
                {
                    let room = self.room(&client.1, &resource.kind.name, amount.thousandths());
                    *amount = Quantity::from_thousandths(room);
                }
                resource
            })
            .collect();
        let is_worth_it = match demand.minimums.get(&client.1) {
            None => offer.scalar("cpus") >= CPUS_MIN || offer.scalar("mem") >= MEM_MIN,
            Some(sizes) => sizes
                .iter()
                .any(|size| size.iter().all(|(name, amount)| offer.scalar(name) >= *amount)),
        };
        let refused = self.filters.iter().any(|(at, who, refused, until)| {
            at == agent && who == client && *until > now && refused.contains(&offer)
        });
        (is_worth_it && !offer.is_empty() && !refused).then_some(offer)
    }

    /// Without quota and sizes: agent by agent, everything to whom most is owed.
    pub(super) fn allocate(&mut self, now: Timestamp) -> Vec<Grant> {
        let mut grants = Vec::new();
        let wanting = self.wanting();
        for agent in self.agents.keys().cloned().collect::<Vec<_>>() {
            loop {
                let order = self.in_order(&wanting, None);
                let first = order
                    .into_iter()
                    .find_map(|client| Some((self.offer(now, &client, &agent)?, client)));
                let Some((offer, client)) = first else { break };
                self.charge(&client, &agent, &offer);
                let (framework, role) = client;
                let resources = offer.allocated_to(&role);
                grants.push(Grant { agent: agent.clone(), framework, role, resources });
            }
        }
        grants
    }

    /// Reserved to the role and those below, and held besides.
    pub(super) fn used(&self, role: &str, name: &str) -> i64 {
        let reserved = self.agents.values().map(|total| {
            total
                .filter(|kind| kind.reserved_to().is_some_and(|owner| is_within(owner, role)))
                .scalar(name)
                .thousandths()
        });
        let held = self.charges.iter().filter(|(client, _)| is_within(&client.1, role));
        let held = held.flat_map(|(_, charges)| charges).map(|(_, held)| common(held, name));
        reserved.sum::<i64>() + held.sum::<i64>()
    }

    pub(super) fn free(&self, name: &str) -> i64 {
        self.agents.keys().map(|agent| common(&self.available(agent), name)).sum()
    }

    /// What is promised and not consumed, if `role` had `more`.
    pub(super) fn unmet(&self, role: &str, more: i64, name: &str) -> i64 {
        let promised: BTreeSet<&str> = self.quotas.keys().flat_map(|role| lineage(role)).collect();
        let mut below: BTreeMap<&str, i64> = BTreeMap::new();
        let mut all = 0;
        // A role comes after those above it.
        for at in promised.iter().rev() {
            let more = if is_within(role, at) { more } else { 0 };
            let promise =
                self.quotas.get(*at).map_or(0, |quota| quota.guarantees.get(name).thousandths());
            let own = promise - self.used(at, name) - more;
            let unmet = own.max(below.remove(at).unwrap_or(0)).max(0);
            match at.rsplit_once('/') {
                Some((above, _)) => *below.entry(above).or_default() += unmet,
                None => all += unmet,
            }
        }
        all
    }

    /// How much of `wanted` the role may have.
    pub(super) fn room(&self, role: &str, name: &str, wanted: i64) -> i64 {
        let limits = lineage(role).filter_map(|above| {
            let limit = self.quotas.get(above)?.limits.get(name)?;
            Some((limit.thousandths() - self.used(above, name)).max(0))
        });
        let wanted = limits.min().map_or(wanted, |left| left.min(wanted));
        let (free, before) = (self.free(name), self.unmet(role, 0, name));
        let burst = (free - before).max(0);
        let fits = |more: i64| more - (before - self.unmet(role, more, name)) <= burst;
        let (mut low, mut high) = (0, wanted);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        low
    }

    pub(super) fn may_have(&self, client: &Client, resources: &Resources) -> bool {
        resources.iter().all(|resource| {
            resource.kind.reserved_to().is_none_or(|owner| may_use(&client.1, owner))
        })
    }

    pub(super) fn consumption(&self, role: &str, offered: &[Grant]) -> Quantities {
        let names = ["cpus", "mem", "disk"];
        let offered = |name: &str| -> i64 {
            let below = offered.iter().filter(|grant| is_within(&grant.role, role));
            below.map(|grant| common(&grant.resources, name)).sum()
        };
        names
            .iter()
            .map(|name| (*name, Quantity::from_thousandths(self.used(role, name) - offered(name))))
            .collect()
    }
}
