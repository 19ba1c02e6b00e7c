//! Quota, reckoned again from what there is to read: how much more a role may be
//! offered. Written apart from the allocator, slowly and plainly, so that the
//! simulation does not believe what it is to check.

use std::collections::{BTreeMap, BTreeSet};

use karman_master::ledger::{Agent, Amounts, Presence, Quota, View};
use karman_model::quantity::Quantity;
use karman_model::resource::{Resources, Value};

pub(super) struct Shares<'a> {
    view: &'a View,
    /// Reserved, used or offered, by the role and those below.
    claimed: BTreeMap<String, Amounts>,
    /// What nobody has of active agents and everybody may use.
    free: Amounts,
}

/// What is neither used nor offered of the agent.
pub(super) fn left(agent: &Agent) -> Resources {
    agent.total.saturating_sub(&(&agent.used + &agent.offered).unallocated())
}

fn add(sum: &mut Amounts, resources: &Resources) {
    for resource in resources.iter().filter(|resource| !resource.kind.revocable) {
        if let Value::Scalar(amount) = resource.value {
            *sum.entry(resource.kind.name.to_string()).or_default() += amount;
        }
    }
}

/// The role, then those above it.
fn lineage(role: &str) -> Vec<&str> {
    std::iter::successors(Some(role), |role| role.rsplit_once('/').map(|(above, _)| above))
        .collect()
}

fn of(amounts: &Amounts, name: &str) -> Quantity {
    amounts.get(name).copied().unwrap_or_default()
}

impl<'a> Shares<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        let mut shares = Self { view, claimed: BTreeMap::new(), free: Amounts::new() };
        for agent in view.agents.values() {
            if matches!(agent.presence, Presence::Unreachable { .. }) {
                continue;
            }
            for role in agent.total.reserved_roles() {
                shares.claim(role, &agent.total.reserved_to(role));
            }
            for executor in agent.executors.values() {
                shares.claim(&executor.role, &executor.resources.unreserved());
            }
            if agent.is_active() {
                add(&mut shares.free, &left(agent).unreserved());
            }
        }
        for framework in view.frameworks.values() {
            for task in framework.tasks.values().filter(|task| !task.is_terminal()) {
                shares.claim(&task.role, &task.resources.unreserved());
            }
            for offer in framework.offers.values() {
                shares.claim(&offer.role, &offer.resources.unreserved());
            }
        }
        shares
    }

    fn claim(&mut self, role: &str, resources: &Resources) {
        for above in lineage(role) {
            add(self.claimed.entry(above.to_owned()).or_default(), resources);
        }
    }

    fn quota(&self, role: &str) -> Option<&Quota> {
        self.view.registry.quotas.get(role)
    }

    fn claimed(&self, role: &str, name: &str) -> Quantity {
        self.claimed.get(role).map(|amounts| of(amounts, name)).unwrap_or_default()
    }

    /// Roles right below this one, or the topmost, that a quota is about or is
    /// below.
    fn below(&self, role: Option<&str>) -> BTreeSet<String> {
        let quotas = self.view.registry.quotas.keys().flat_map(|role| lineage(role));
        let above = |name: &&str| name.rsplit_once('/').map(|(above, _)| above) == role;
        quotas.filter(above).map(str::to_owned).collect()
    }

    /// What is guaranteed to the role, or to those below it, and not had.
    fn unmet(&self, role: &str, name: &str) -> Quantity {
        let own = self.quota(role).map(|quota| of(&quota.guarantees, name)).unwrap_or_default();
        let own = (own - self.claimed(role, name)).max(Quantity::ZERO);
        own.max(self.unmet_below(Some(role), name))
    }

    fn unmet_below(&self, role: Option<&str>, name: &str) -> Quantity {
        self.below(role).iter().map(|child| self.unmet(child, name)).sum()
    }

    /// How much more of `name` the role may be given.
    fn room(&self, role: &str, name: &str) -> Option<Quantity> {
        let mut room: Option<Quantity> = None;
        let mut cap = |most: Quantity| {
            let most = most.max(Quantity::ZERO);
            room = Some(room.map_or(most, |room| room.min(most)));
        };
        for above in lineage(role) {
            let limit = self.quota(above).and_then(|quota| quota.limits.get(name));
            limit.into_iter().for_each(|limit| cap(*limit - self.claimed(above, name)));
        }
        let promised = self.unmet_below(None, name);
        if promised.is_positive() {
            let mut burst = (of(&self.free, name) - promised).max(Quantity::ZERO);
            for above in lineage(role).into_iter().rev() {
                let all = burst + self.unmet(above, name);
                cap(all);
                burst = all - self.unmet_below(Some(above), name);
            }
            cap(burst);
        }
        room
    }

    /// How much of it the role may be offered.
    pub(super) fn within(&self, role: &str, usable: &Resources) -> Amounts {
        let mut amounts = Amounts::new();
        add(&mut amounts, &usable.unreserved());
        for (name, amount) in &mut amounts {
            if let Some(room) = self.room(role, name) {
                *amount = room.min(*amount);
            }
        }
        let reserved = usable.filter(|kind| kind.reserved_to().is_some());
        add(&mut amounts, &reserved);
        amounts
    }

    /// Nobody without a guarantee is offered what is promised to somebody who
    /// could take it.
    pub(super) fn promises_kept(&self) -> Result<(), String> {
        let connected = || self.view.frameworks.values().filter(|it| it.is_connected());
        for (role, quota) in &*self.view.registry.quotas {
            for name in quota.guarantees.keys() {
                let takers = connected().flat_map(|it| &it.roles).filter(|taker| {
                    lineage(taker).contains(&&**role)
                        && self.room(taker, name).is_none_or(Quantity::is_positive)
                });
                if self.unmet(role, name).is_zero() || takers.count() == 0 {
                    continue;
                }
                let others = connected().flat_map(|it| it.offers.values());
                let hoarded = others.filter(|offer| {
                    let promised = |above: &&str| {
                        self.quota(above).is_some_and(|it| it.guarantees.contains_key(name))
                    };
                    let is_plain = offer.resources.unreserved().scalar(name).is_positive();
                    is_plain && !lineage(&offer.role).iter().any(promised)
                });
                if let Some(offer) = hoarded.into_iter().next() {
                    return Err(format!(
                        "{} of {} holds {name} that is promised to {role}",
                        offer.id, offer.role
                    ));
                }
            }
        }
        Ok(())
    }
}
