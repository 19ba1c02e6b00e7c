//! Who is owed most.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{ROOT, Rank, Role, Roles, WEIGHT_ONE};
use crate::client::Client;
use crate::dims::Dims;

/// What has to be put into place again before the order is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// All agents together.
    pub(crate) total: Dims,
    /// The total has changed, and with it every share.
    pub(crate) stale: bool,
    clients: BTreeSet<u32>,
    roles: BTreeSet<u32>,
}

impl Order {
    pub(crate) fn touch(&mut self, client: u32, role: u32) {
        if !self.stale {
            self.clients.insert(client);
            self.roles.insert(role);
        }
    }

    pub(crate) fn touch_role(&mut self, role: u32) {
        self.roles.insert(role);
    }
}

/// The largest part of any total with 64 binary digits behind the point, so that
/// no two amounts of a resource look the same.
fn dominant_share(used: &Dims, total: &Dims) -> u128 {
    let mut share = 0;
    for (at, amount) in used.iter() {
        if let (Ok(amount), Ok(total)) = (u128::try_from(amount), u128::try_from(total.get(at)))
            && total > 0
        {
            share = share.max((amount << 64) / total);
        }
    }
    share
}

fn weighted(share: u128, weight: Option<u64>) -> u128 {
    match weight {
        None | Some(WEIGHT_ONE) => share,
        Some(weight) => share.saturating_mul(u128::from(WEIGHT_ONE)) / u128::from(weight),
    }
}

impl Roles {
    /// Whether the client wants offers.
    pub(crate) fn place(&mut self, at: u32, client: &mut Client, wants: bool, order: &mut Order) {
        let node = self.node_mut(client.role);
        match (client.key, wants) {
            (None, true) => {
                let key = (dominant_share(&client.allocated, &order.total), client.grants);
                node.members.insert((key.0, key.1, client.framework.clone(), at));
                client.key = Some(key);
            }
            (Some(key), false) => {
                node.members.remove(&(key.0, key.1, client.framework.clone(), at));
                client.key = None;
            }
            (None, false) | (Some(_), true) => return,
        }
        order.touch_role(client.role);
    }

    /// Puts everything into place that has changed.
    pub(crate) fn refresh(&mut self, clients: &mut [Option<Client>], order: &mut Order) {
        let (changed, roles) =
            (std::mem::take(&mut order.clients), std::mem::take(&mut order.roles));
        if std::mem::take(&mut order.stale) {
            for (client, at) in clients.iter_mut().zip(0u32..) {
                if let Some(client) = client {
                    self.move_client(at, client, &order.total);
                }
            }
            for role in self.index.values().copied().collect::<Vec<_>>() {
                self.move_role(role, &order.total);
            }
            return;
        }
        for at in changed {
            if let Some(Some(client)) = clients.get_mut(at as usize) {
                self.move_client(at, client, &order.total);
            }
        }
        for role in roles {
            self.move_path(role, &order.total);
        }
    }

    /// After a client got something while the order was in place.
    pub(crate) fn moved(&mut self, at: u32, client: &mut Client, order: &Order) {
        self.move_client(at, client, &order.total);
        self.move_path(client.role, &order.total);
    }

    fn move_client(&mut self, at: u32, client: &mut Client, total: &Dims) {
        let Some(old) = client.key else { return };
        let new = (dominant_share(&client.allocated, total), client.grants);
        if new != old {
            let members = &mut self.node_mut(client.role).members;
            members.remove(&(old.0, old.1, client.framework.clone(), at));
            members.insert((new.0, new.1, client.framework.clone(), at));
            client.key = Some(new);
        }
    }

    /// Takes a role that nobody is in out of the order, and those above it that
    /// have nobody else.
    pub(super) fn vanish(&mut self, role: u32) {
        let node = self.node_mut(role);
        if let Some(own) = node.own_key.take() {
            let name = Role::clone(&node.name);
            node.order.remove(&Rank::new(own, name, None));
        }
        let (key, name, parent) = (node.key, Role::clone(&node.name), node.parent);
        if !node.order.is_empty() {
            return;
        }
        node.key = None;
        if let (Some(key), Some(parent)) = (key, parent) {
            let siblings = &mut self.node_mut(parent).order;
            siblings.remove(&Rank::new(key, name, Some(role)));
            if siblings.is_empty() && parent != ROOT && self.node(parent).members.is_empty() {
                self.vanish(parent);
            }
        }
    }

    fn move_path(&mut self, role: u32, total: &Dims) {
        let mut at = Some(role);
        while let Some(role) = at.filter(|role| *role != ROOT) {
            self.move_role(role, total);
            at = self.node(role).parent;
        }
    }

    /// The place of the role's own frameworks among its children, and its own
    /// place among its siblings.
    fn move_role(&mut self, role: u32, total: &Dims) {
        // A role that was forgotten has been taken out of the order.
        let Some(node) = self.nodes.get_mut(role as usize) else { return };
        let own = (!node.members.is_empty())
            .then(|| (dominant_share(&node.own.allocated, total), node.own.grants));
        if own != node.own_key {
            let name: Role = Role::clone(&node.name);
            if let Some(old) = node.own_key {
                node.order.remove(&Rank::new(old, Role::clone(&name), None));
            }
            if let Some(new) = own {
                node.order.insert(Rank::new(new, name, None));
            }
            node.own_key = own;
        }
        let share = || weighted(dominant_share(&node.all.allocated, total), node.weight);
        let key = (!node.order.is_empty()).then(|| (share(), node.all.grants));
        let (old, name, parent) = (node.key, Role::clone(&node.name), node.parent);
        if key == old {
            return;
        }
        node.key = key;
        let Some(parent) = parent else { return };
        let siblings = &mut self.node_mut(parent).order;
        if let Some(old) = old {
            siblings.remove(&Rank::new(old, Role::clone(&name), Some(role)));
        }
        if let Some(new) = key {
            siblings.insert(Rank::new(new, name, Some(role)));
        }
        // What was empty or becomes so changes whether the parent has a place.
        if old.is_none() != key.is_none() && parent != ROOT {
            self.move_role(parent, total);
        }
    }

    /// Visits clients that want offers from the one that is owed most.
    pub(crate) fn walk(&self, visit: &mut impl FnMut(u32) -> ControlFlow<()>) {
        if !self.nodes.is_empty() {
            let _all_or_stopped = self.walk_below(ROOT, visit);
        }
    }

    fn walk_below(
        &self,
        role: u32,
        visit: &mut impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let node = self.node(role);
        for rank in &node.order {
            match rank.child {
                Some(child) => self.walk_below(child, visit)?,
                None => node.members.iter().try_for_each(|(.., client)| visit(*client))?,
            }
        }
        ControlFlow::Continue(())
    }

    /// The places on the way to the client; whose come first, is owed more.
    pub(crate) fn standing<'a>(&'a self, client: &'a Client) -> Vec<(u128, u64, &'a str)> {
        let mut path: Vec<(u128, u64, &str)> = Vec::with_capacity(4);
        let (share, grants) = client.key.unwrap_or_default();
        path.push((share, grants, client.framework.as_str()));
        let node = self.node(client.role);
        let (share, grants) = node.own_key.unwrap_or_default();
        path.push((share, grants, &*node.name));
        for role in self.lineage(client.role) {
            let node = self.node(role);
            let (share, grants) = node.key.unwrap_or_default();
            path.push((share, grants, &*node.name));
        }
        path.reverse();
        path
    }

    /// Its part of the cluster.
    pub(crate) fn share(&self, role: u32, total: &Dims) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for readers")]
        let share = dominant_share(&self.node(role).all.allocated, total) as f64;
        share / 2f64.powi(64)
    }

    /// The clients in the role itself that want offers.
    pub(crate) fn members(&self, role: u32) -> impl Iterator<Item = u32> {
        self.node(role).members.iter().map(|(.., client)| *client)
    }
}

impl Rank {
    const fn new((share, grants): (u128, u64), name: Role, child: Option<u32>) -> Self {
        Self { share, grants, name, child }
    }
}
