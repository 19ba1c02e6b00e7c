//! Who has how much, and who is owed most: fair sharing by dominant resource.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Quantities, Role};
use karman_model::id::FrameworkId;

#[derive(Clone, Debug, Default)]
struct Account {
    used: Quantities,
    share: u64,
    /// Breaks ties: who was served less often comes first.
    grants: u64,
}

/// The place in an order: share, grants, name.
type Place<T> = (u64, u64, T);

#[derive(Clone, Debug, Default)]
struct RoleAccount {
    own: Account,
    members: BTreeMap<FrameworkId, Account>,
    /// The members that want offers.
    order: BTreeSet<Place<FrameworkId>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    total: Quantities,
    roles: BTreeMap<Role, RoleAccount>,
    /// The roles in which somebody wants offers.
    order: BTreeSet<Place<Role>>,
}

impl Shares {
    pub(super) fn add_total(&mut self, more: &Quantities) {
        self.total.plus(more);
        self.rebuild();
    }

    pub(super) fn sub_total(&mut self, less: &Quantities) {
        self.total.minus(less);
        self.rebuild();
    }

    pub(super) fn charge(&mut self, framework: &FrameworkId, role: &Role, more: &Quantities) {
        self.change(framework, role, |account| {
            account.used.plus(more);
            account.grants += 1;
        });
    }

    pub(super) fn release(&mut self, framework: &FrameworkId, role: &Role, less: &Quantities) {
        self.change(framework, role, |account| account.used.minus(less));
    }

    /// The roles in which the framework wants offers.
    pub(super) fn set_places(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        for role in roles {
            self.roles
                .entry(Arc::clone(role))
                .or_default()
                .members
                .entry(framework.clone())
                .or_default();
        }
        let mut empty = Vec::new();
        for (name, role) in &mut self.roles {
            let Some(member) = role.members.get(framework) else { continue };
            let member_place = (member.share, member.grants, framework.clone());
            let role_place = (role.own.share, role.own.grants, Arc::clone(name));
            if roles.contains(name) {
                role.order.insert(member_place);
            } else {
                role.order.remove(&member_place);
                if member.used.is_empty() {
                    role.members.remove(framework);
                }
            }
            if role.order.is_empty() {
                self.order.remove(&role_place);
            } else {
                self.order.insert(role_place);
            }
            if role.members.is_empty() {
                empty.push(Arc::clone(name));
            }
        }
        for name in empty {
            self.roles.remove(&name);
        }
    }

    /// Who wants offers, from the one that is owed most.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&Role, &FrameworkId)> {
        self.order.iter().filter_map(|(_, _, name)| self.roles.get_key_value(name)).flat_map(
            |(name, role)| role.order.iter().map(move |(_, _, framework)| (name, framework)),
        )
    }

    /// Changes the accounts of the framework and of its role, and their places.
    fn change(&mut self, framework: &FrameworkId, role_name: &Role, change: impl Fn(&mut Account)) {
        let role = self.roles.entry(Arc::clone(role_name)).or_default();
        let member = role.members.entry(framework.clone()).or_default();
        let was_placed = role.order.remove(&(member.share, member.grants, framework.clone()));
        change(member);
        member.share = dominant_share(&member.used, &self.total);
        if was_placed {
            role.order.insert((member.share, member.grants, framework.clone()));
        } else if member.used.is_empty() {
            role.members.remove(framework);
        }
        let was_placed =
            self.order.remove(&(role.own.share, role.own.grants, Arc::clone(role_name)));
        change(&mut role.own);
        role.own.share = dominant_share(&role.own.used, &self.total);
        if was_placed {
            self.order.insert((role.own.share, role.own.grants, Arc::clone(role_name)));
        } else if role.members.is_empty() {
            self.roles.remove(role_name);
        }
    }

    /// After the total has changed every share has.
    fn rebuild(&mut self) {
        self.order.clear();
        for (name, role) in &mut self.roles {
            let placed: BTreeSet<FrameworkId> = std::mem::take(&mut role.order)
                .into_iter()
                .map(|(_, _, framework)| framework)
                .collect();
            for (framework, member) in &mut role.members {
                member.share = dominant_share(&member.used, &self.total);
                if placed.contains(framework) {
                    role.order.insert((member.share, member.grants, framework.clone()));
                }
            }
            role.own.share = dominant_share(&role.own.used, &self.total);
            if !role.order.is_empty() {
                self.order.insert((role.own.share, role.own.grants, Arc::clone(name)));
            }
        }
    }
}

/// The largest part of any total, in parts of 2^32, so that the order never
/// depends on rounding.
fn dominant_share(used: &Quantities, total: &Quantities) -> u64 {
    let parts = used.iter().filter_map(|(name, amount)| {
        let total =
            u128::try_from(total.get(name).thousandths()).ok().filter(|total| *total > 0)?;
        let amount = u128::try_from(amount.thousandths()).ok()?;
        u64::try_from((amount << 32) / total).ok()
    });
    parts.max().unwrap_or(0)
}
