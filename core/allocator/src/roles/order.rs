//! Who is owed most.
//!
//! Orders are sorted lists. When the cluster grows every share changes, but hardly
//! anything changes places: shares are computed anew in place, and a list is
//! sorted only if it is not sorted any longer.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use karman_model::id::FrameworkId;

use super::{Key, Node, ROOT, Roles, WEIGHT_ONE};
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

/// A client's place among those of its role.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    key: Key,
    name: FrameworkId,
}

/// In the order of a role, the frameworks in the role itself.
const OWN: u32 = u32::MAX;

impl Order {
    pub(crate) fn touch(&mut self, client: u32, role: u32) {
        if !self.stale {
            self.clients.insert(client);
            self.roles.insert(role);
        }
    }
}

/// The largest part of any total with 64 binary digits behind the point, so that
/// no two amounts of a resource look the same.
fn dominant_share(used: &Dims, total: &Dims) -> u128 {
    let (mut amount, mut of) = (0u128, 1u128);
    for (at, used) in used.iter() {
        if let (Ok(used), Ok(total)) = (u128::try_from(used), u128::try_from(total.get(at)))
            && total > 0
            && used * of > amount * total
        {
            (amount, of) = (used, total);
        }
    }
    (amount << 64) / of
}

fn weighted(share: u128, weight: Option<u64>) -> u128 {
    match weight {
        None | Some(WEIGHT_ONE) => share,
        Some(weight) => share.saturating_mul(u128::from(WEIGHT_ONE)) / u128::from(weight),
    }
}

impl Node {
    fn own_key_now(&self, total: &Dims) -> Option<Key> {
        (!self.members.is_empty())
            .then(|| (dominant_share(&self.own.allocated, total), self.own.grants))
    }

    fn key_now(&self, total: &Dims, own: Option<Key>) -> Option<Key> {
        // Where nobody below ever got anything, all is its own.
        let share = match own {
            Some((share, grants)) if grants == self.all.grants => share,
            Some(_) | None => dominant_share(&self.all.allocated, total),
        };
        let key = (weighted(share, self.weight), self.all.grants);
        (!self.order.is_empty()).then_some(key)
    }
}

impl Roles {
    /// Whether the client wants offers.
    pub(crate) fn place(&mut self, at: u32, client: &Client, wants: bool, order: &mut Order) {
        if self.is_placed(at) == wants {
            return;
        }
        if wants {
            let key = (dominant_share(&client.allocated, &order.total), client.grants);
            if self.places.len() <= at as usize {
                self.places.resize(at as usize + 1, None);
            }
            if let Some(place) = self.places.get_mut(at as usize) {
                *place = Some(Place { key, name: client.framework.clone() });
            }
            let position = self.position(client.role, at);
            self.node_mut(client.role).members.insert(position, at);
        } else {
            self.drop_member(client.role, at);
            if let Some(place) = self.places.get_mut(at as usize) {
                *place = None;
            }
        }
        order.roles.insert(client.role);
    }

    fn is_placed(&self, at: u32) -> bool {
        self.places.get(at as usize).is_some_and(Option::is_some)
    }

    fn drop_member(&mut self, role: u32, at: u32) {
        let position = self.position(role, at);
        let members = &mut self.node_mut(role).members;
        if members.get(position) == Some(&at) {
            members.remove(position);
        } else {
            // The list has yet to be sorted.
            members.retain(|member| *member != at);
        }
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        let place =
            |at: u32| self.places.get(at as usize)?.as_ref().map(|place| (place.key, &place.name));
        place(a).cmp(&place(b))
    }

    /// Where the client is, or belongs, among the members of the role.
    fn position(&self, role: u32, at: u32) -> usize {
        let members = &self.node(role).members;
        members.partition_point(|member| self.compare(*member, at).is_lt())
    }

    /// Puts everything into place that has changed.
    pub(crate) fn refresh(&mut self, clients: &[Option<Client>], order: &mut Order) {
        let (changed, roles) =
            (std::mem::take(&mut order.clients), std::mem::take(&mut order.roles));
        if std::mem::take(&mut order.stale) {
            return self.refresh_all(clients, &order.total);
        }
        for at in changed {
            if let Some(Some(client)) = clients.get(at as usize) {
                self.move_client(at, client, &order.total);
            }
        }
        for role in roles {
            self.move_path(role, &order.total);
        }
    }

    fn refresh_all(&mut self, clients: &[Option<Client>], total: &Dims) {
        for (place, client) in self.places.iter_mut().zip(clients) {
            if let (Some(place), Some(client)) = (place, client) {
                place.key = (dominant_share(&client.allocated, total), client.grants);
            }
        }
        // Those below come after those above.
        let roles: Vec<u32> = self.index.values().copied().collect();
        for role in roles.iter().rev() {
            let mut members = std::mem::take(&mut self.node_mut(*role).members);
            if !members.is_sorted_by(|a, b| self.compare(*a, *b).is_lt()) {
                members.sort_unstable_by(|a, b| self.compare(*a, *b));
            }
            self.node_mut(*role).members = members;
            self.move_role(*role, total);
        }
    }

    /// After a client got something while the order was in place.
    pub(crate) fn moved(&mut self, at: u32, client: &Client, order: &Order) {
        self.move_client(at, client, &order.total);
        self.move_path(client.role, &order.total);
    }

    fn move_client(&mut self, at: u32, client: &Client, total: &Dims) {
        if !self.is_placed(at) {
            return;
        }
        let old = self.position(client.role, at);
        if let Some(Some(place)) = self.places.get_mut(at as usize) {
            place.key = (dominant_share(&client.allocated, total), client.grants);
        }
        let members = &self.node(client.role).members;
        let is_later = |member: &u32| self.compare(*member, at).is_lt();
        let (before, after) = members.split_at(old);
        let after = after.get(1..).unwrap_or_default();
        let to_the_left = before.partition_point(is_later);
        let to_the_right = after.partition_point(is_later);
        let members = &mut self.node_mut(client.role).members;
        if to_the_right > 0 {
            if let Some(part) = members.get_mut(old..=old + to_the_right) {
                part.rotate_left(1);
            }
        } else if let Some(part) = members.get_mut(to_the_left..=old) {
            part.rotate_right(1);
        }
    }

    fn move_path(&mut self, role: u32, total: &Dims) {
        let mut at = Some(role);
        while let Some(role) = at.filter(|role| *role != ROOT) {
            self.move_role(role, total);
            at = self.nodes.get(role as usize).and_then(|node| node.parent);
        }
    }

    /// The place of the role's own frameworks among its children, and its own
    /// place among its siblings.
    fn move_role(&mut self, role: u32, total: &Dims) {
        let Some(node) = self.nodes.get(role as usize) else { return };
        let own = node.own_key_now(total);
        self.reorder(role, OWN, own);
        let node = self.node(role);
        if let Some(parent) = node.parent {
            self.reorder(parent, role, node.key_now(total, own));
        }
    }

    /// Puts a child of the role, or its own frameworks, where it belongs now.
    fn reorder(&mut self, role: u32, slot: u32, new: Option<Key>) {
        let old = self.slot(role, slot).0;
        if old == new {
            return;
        }
        if old.is_some() {
            let at = self.slot_position(role, slot);
            self.node_mut(role).order.remove(at);
        }
        if slot == OWN {
            self.node_mut(role).own_key = new;
        } else {
            self.node_mut(slot).key = new;
        }
        if new.is_some() {
            let at = self.slot_position(role, slot);
            self.node_mut(role).order.insert(at, slot);
        }
    }

    fn slot(&self, role: u32, slot: u32) -> (Option<Key>, &str) {
        if slot == OWN {
            let node = self.node(role);
            (node.own_key, &node.name)
        } else {
            let node = self.node(slot);
            (node.key, &node.name)
        }
    }

    fn slot_position(&self, role: u32, slot: u32) -> usize {
        let wanted = self.slot(role, slot);
        self.node(role).order.partition_point(|other| self.slot(role, *other) < wanted)
    }

    /// Takes a role that nobody is in out of the order, and those above it that
    /// have nobody else.
    pub(super) fn vanish(&mut self, role: u32) {
        self.reorder(role, OWN, None);
        let node = self.node(role);
        let Some(parent) = node.parent.filter(|_| node.order.is_empty()) else { return };
        self.reorder(parent, role, None);
        let above = self.node(parent);
        if above.order.is_empty() && parent != ROOT && above.members.is_empty() {
            self.vanish(parent);
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
        for slot in &node.order {
            if *slot == OWN {
                node.members.iter().try_for_each(|client| visit(*client))?;
            } else {
                self.walk_below(*slot, visit)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The places on the way to the client; whose come first, is owed more.
    pub(crate) fn standing(&self, at: u32, role: u32) -> Vec<(Key, &str)> {
        let mut path: Vec<(Key, &str)> = Vec::with_capacity(4);
        if let Some(Some(place)) = self.places.get(at as usize) {
            path.push((place.key, place.name.as_str()));
        }
        let node = self.node(role);
        path.push((node.own_key.unwrap_or_default(), &node.name));
        for role in self.lineage(role) {
            let node = self.node(role);
            path.push((node.key.unwrap_or_default(), &node.name));
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
        self.node(role).members.iter().copied()
    }
}
