//! The tree of roles: who has how much, who is owed most, what is promised and
//! what is the limit.
//!
//! The children of a role and the frameworks in the role itself (together, as one
//! more child with the weight 1) share by weighted dominant share; so do the
//! frameworks of a role among each other.
#![deny(clippy::disallowed_methods)]

mod order;
mod quota;

use std::collections::BTreeMap;

use crate::Role;
use crate::dims::Dims;

pub(crate) use order::Order;
use order::Place;
pub(crate) use quota::{Bounds, Room};

/// Above all roles.
pub(crate) const ROOT: u32 = 0;

/// Weights are kept in millionths.
const WEIGHT_ONE: u64 = 1_000_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    nodes: Vec<Node>,
    index: BTreeMap<Role, u32>,
    spare: Vec<u32>,
    /// By client, where those are that want offers.
    places: Vec<Option<Place>>,
    /// Roles with limits and with guarantees.
    limited: usize,
    promised: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: Role,
    pub(crate) parent: Option<u32>,
    /// Clients, children and agents' reservations that need it.
    uses: u32,
    weight: Option<u64>,
    pub(crate) bounds: Bounds,
    /// Of the frameworks in the role itself.
    own: Account,
    /// With everything below.
    all: Account,
    /// Unreserved and not revocable, with everything below; offered or used.
    held: Dims,
    /// What of it is only offered.
    offered: Dims,
    /// Of all agents, used or not, with everything below.
    reserved: Dims,
    /// Children that want offers, in order; `own_key` and `key` are the places of
    /// its own frameworks in here and of itself in its parent's.
    order: Vec<u32>,
    own_key: Option<Key>,
    key: Option<Key>,
    /// Clients in the role itself that want offers, in order.
    members: Vec<u32>,
}

/// Who comes first: the share, then how often something was given.
pub(crate) type Key = (u128, u64);

#[derive(Clone, Debug, Default)]
struct Account {
    allocated: Dims,
    /// How often something was given.
    grants: u64,
}

/// A change of what a client has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge {
    /// Of everything.
    pub(crate) all: Dims,
    /// Of what quota counts: unreserved and not revocable.
    pub(crate) common: Dims,
}

impl Roles {
    pub(crate) fn get(&self, role: &str) -> Option<u32> {
        self.index.get(role).copied()
    }

    pub(crate) fn node(&self, role: u32) -> &Node {
        self.nodes.get(role as usize).expect("roles in use have a node")
    }

    fn node_mut(&mut self, role: u32) -> &mut Node {
        self.nodes.get_mut(role as usize).expect("roles in use have a node")
    }

    /// All names, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Role, u32)> {
        self.index.iter().map(|(name, role)| (name, *role))
    }

    /// Its node, kept until it is [let go](Self::let_go) as often.
    pub(crate) fn hold(&mut self, name: &Role) -> u32 {
        let role = match self.get(name) {
            Some(role) => role,
            None => self.add(name),
        };
        self.node_mut(role).uses += 1;
        role
    }

    fn add(&mut self, name: &Role) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new("".into(), None));
        }
        let parent = match name.rsplit_once('/') {
            Some((above, _)) => self.hold(&above.into()),
            None => ROOT,
        };
        let node = Node::new(Role::clone(name), Some(parent));
        let role = if let Some(role) = self.spare.pop() {
            *self.node_mut(role) = node;
            role
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        };
        self.index.insert(Role::clone(name), role);
        role
    }

    pub(crate) fn let_go(&mut self, role: u32) {
        let node = self.node_mut(role);
        node.uses -= 1;
        self.tidy(role);
    }

    /// Forgets a role that nothing is known of.
    fn tidy(&mut self, role: u32) {
        let node = self.node(role);
        if role == ROOT || node.uses > 0 || node.weight.is_some() || !node.bounds.is_empty() {
            return;
        }
        let (name, parent) = (Role::clone(&node.name), node.parent);
        self.vanish(role);
        self.index.remove(&name);
        self.spare.push(role);
        if let Some(parent) = parent.filter(|parent| *parent != ROOT) {
            self.let_go(parent);
        }
    }

    pub(crate) fn set_weight(&mut self, name: &Role, weight: Option<f64>) {
        let role = self.hold(name);
        self.node_mut(role).weight = weight.map(to_millionths);
        self.let_go(role);
    }

    pub(crate) fn weight(&self, role: u32) -> f64 {
        let weight = self.node(role).weight.unwrap_or(WEIGHT_ONE);
        #[expect(clippy::cast_precision_loss, reason = "weights stay below 2^53 millionths")]
        let weight = weight as f64 / WEIGHT_ONE as f64;
        weight
    }

    /// The role, then all roles above it.
    fn lineage(&self, role: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(role), |role| self.node(*role).parent)
            .filter(|role| *role != ROOT)
    }

    /// Puts a change on the accounts of the role and of all above it.
    pub(crate) fn charge(&mut self, role: u32, charge: &Charge) {
        let own = &mut self.node_mut(role).own;
        own.allocated.add(&charge.all);
        own.grants += 1;
        self.change(role, |node| {
            node.all.allocated.add(&charge.all);
            node.all.grants += 1;
            node.held.add(&charge.common);
        });
    }

    pub(crate) fn release(&mut self, role: u32, charge: &Charge) {
        self.node_mut(role).own.allocated.sub(&charge.all);
        self.change(role, |node| {
            node.all.allocated.sub(&charge.all);
            node.held.sub(&charge.common);
        });
    }

    pub(crate) fn offer(&mut self, role: u32, common: &Dims) {
        for role in self.lineage(role).collect::<Vec<_>>() {
            self.node_mut(role).offered.add(common);
        }
    }

    pub(crate) fn settle(&mut self, role: u32, common: &Dims) {
        for role in self.lineage(role).collect::<Vec<_>>() {
            self.node_mut(role).offered.sub(common);
        }
    }

    pub(crate) fn reserve(&mut self, role: u32, more: &Dims) {
        self.change(role, |node| node.reserved.add(more));
    }

    pub(crate) fn unreserve(&mut self, role: u32, less: &Dims) {
        self.change(role, |node| node.reserved.sub(less));
    }

    fn change(&mut self, role: u32, change: impl Fn(&mut Node)) {
        let mut at = Some(role);
        while let Some(role) = at.filter(|role| *role != ROOT) {
            let node = self.node_mut(role);
            change(node);
            at = node.parent;
        }
        if self.promised > 0 {
            self.measure_up(role);
        }
    }

    /// Reservations even when idle, and what is used besides.
    pub(crate) fn consumption(&self, role: u32) -> Dims {
        let mut consumed = self.claimed(role);
        consumed.sub(&self.node(role).offered);
        consumed
    }

    /// With what is only offered.
    pub(crate) fn claimed(&self, role: u32) -> Dims {
        let node = self.node(role);
        let mut claimed = node.reserved.clone();
        claimed.add(&node.held);
        claimed
    }
}

fn to_millionths(weight: f64) -> u64 {
    let millionths = (weight * 1e6).round().clamp(1.0, 1e15);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds are applied above; what is no number becomes zero and then one"
    )]
    let millionths = millionths as u64;
    millionths.max(1)
}

impl Node {
    fn new(name: Role, parent: Option<u32>) -> Self {
        Self {
            name,
            parent,
            uses: 0,
            weight: None,
            bounds: Bounds::default(),
            own: Account::default(),
            all: Account::default(),
            held: Dims::default(),
            offered: Dims::default(),
            reserved: Dims::default(),
            order: Vec::new(),
            own_key: None,
            key: None,
            members: Vec::new(),
        }
    }

    pub(crate) const fn allocated(&self) -> &Dims {
        &self.all.allocated
    }

    pub(crate) const fn offered(&self) -> &Dims {
        &self.offered
    }

    pub(crate) const fn reserved(&self) -> &Dims {
        &self.reserved
    }
}
