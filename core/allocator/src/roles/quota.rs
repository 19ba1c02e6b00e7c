//! What is promised to roles and what they may have at most.
//!
//! A role has consumed what is reserved to it and those below, used or not, and
//! what they hold besides, offers included. What it is promised and has not
//! consumed yet is its *unmet* guarantee; if the roles right below it have more
//! unmet guarantees than that, it is the sum of those. The sum over the topmost
//! roles is the headroom that others must leave free in the cluster.
#![deny(clippy::disallowed_methods)]

use super::{ROOT, Role, Roles};
use crate::dims::{Dims, Names};
use crate::quantities::Quota;

#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) quota: Option<Quota>,
    guarantees: Dims,
    limits: Vec<(usize, i64)>,
    /// Promised and not consumed.
    unmet: Dims,
    /// The same of the roles right below.
    unmet_below: Dims,
}

/// How much more a role may be given; what is not named is not limited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Vec<(usize, i64)>);

impl Bounds {
    pub(crate) fn is_empty(&self) -> bool {
        self.quota.is_none() && self.unmet.is_zero() && self.unmet_below.is_zero()
    }
}

impl Room {
    pub(crate) fn get(&self, at: usize) -> Option<i64> {
        self.0.iter().find(|(place, _)| *place == at).map(|(_, left)| *left)
    }

    fn cap(&mut self, at: usize, left: i64) {
        let left = left.max(0);
        match self.0.iter_mut().find(|(place, _)| *place == at) {
            Some((_, mine)) => *mine = left.min(*mine),
            None => self.0.push((at, left)),
        }
    }

    /// As much of it as there is room for.
    pub(crate) fn clamp(&self, amounts: &Dims) -> Dims {
        let mut clamped = amounts.clone();
        for (at, left) in &self.0 {
            clamped.set(*at, amounts.get(*at).min(*left));
        }
        clamped
    }

    pub(crate) fn take(&mut self, at: usize, amount: i64) {
        if let Some((_, left)) = self.0.iter_mut().find(|(place, _)| *place == at) {
            *left -= amount;
        }
    }

    /// Whether nothing is in the way of so much.
    pub(crate) fn fits(&self, amounts: &Dims) -> bool {
        self.0.iter().all(|(at, left)| amounts.get(*at) <= *left)
    }
}

impl Roles {
    pub(crate) const fn has_quota(&self) -> bool {
        self.limited > 0 || self.promised > 0
    }

    pub(crate) fn set_quota(&mut self, name: &Role, quota: Option<Quota>, names: &mut Names) {
        let role = self.hold(name);
        let mut guarantees = Dims::default();
        let mut limits = Vec::new();
        for (name, amount) in quota.iter().flat_map(|quota| quota.guarantees.iter()) {
            guarantees.set(names.intern(name), amount.thousandths());
        }
        for (name, amount) in quota.iter().flat_map(|quota| &quota.limits) {
            limits.push((names.intern(name), amount.thousandths()));
        }
        let bounds = &mut self.node_mut(role).bounds;
        let (was_limited, was_promised) = (!bounds.limits.is_empty(), !bounds.guarantees.is_zero());
        let (is_limited, is_promised) = (!limits.is_empty(), !guarantees.is_zero());
        (bounds.quota, bounds.guarantees, bounds.limits) = (quota, guarantees, limits);
        self.limited = self.limited + usize::from(is_limited) - usize::from(was_limited);
        self.promised = self.promised + usize::from(is_promised) - usize::from(was_promised);
        self.measure_up(role);
        self.let_go(role);
    }

    fn used(&self, role: u32, at: usize) -> i64 {
        let node = self.node(role);
        node.held.get(at).saturating_add(node.reserved.get(at))
    }

    /// Finds out anew what of the role's guarantee is unmet, and of all above it.
    pub(super) fn measure_up(&mut self, role: u32) {
        let mut at = Some(role);
        while let Some(role) = at.filter(|role| *role != ROOT) {
            let node = self.node(role);
            let parent = node.parent;
            let mut unmet = Dims::default();
            for (at, promised) in node.bounds.guarantees.iter() {
                unmet.set(at, (promised - self.used(role, at)).max(0));
            }
            for (at, below) in node.bounds.unmet_below.iter() {
                unmet.set(at, unmet.get(at).max(below));
            }
            let mut change = unmet.clone();
            change.sub(&node.bounds.unmet);
            self.node_mut(role).bounds.unmet = unmet;
            if let Some(parent) = parent {
                self.node_mut(parent).bounds.unmet_below.add(&change);
            }
            at = parent;
        }
    }

    /// What must stay free for others.
    pub(crate) fn headroom(&self) -> Dims {
        self.nodes.first().map(|root| root.bounds.unmet_below.clone()).unwrap_or_default()
    }

    /// How much more of what is `free` in the cluster the role may be given:
    /// within its limits and those above it, and so that the headroom stays. What
    /// is promised to it is its own; what is promised to a role above may be used
    /// by all below as far as it is not promised to their siblings.
    pub(crate) fn room(&self, role: u32, free: &Dims) -> Room {
        let mut room = Room::default();
        if self.limited > 0 {
            for above in self.lineage(role) {
                for (at, limit) in &self.node(above).bounds.limits {
                    room.cap(*at, limit.saturating_sub(self.used(above, *at)));
                }
            }
        }
        if self.promised > 0 {
            for (at, headroom) in self.headroom().iter() {
                self.share_headroom(role, at, (free.get(at) - headroom).max(0), &mut room);
            }
        }
        room
    }

    /// From the topmost role down: `burst` is what is left beyond what is unmet.
    fn share_headroom(&self, role: u32, at: usize, mut burst: i64, room: &mut Room) {
        let lineage: Vec<u32> = self.lineage(role).collect();
        for role in lineage.iter().rev() {
            let bounds = &self.node(*role).bounds;
            let all = burst + bounds.unmet.get(at);
            room.cap(at, all);
            burst = all - bounds.unmet_below.get(at);
        }
        room.cap(at, burst);
    }

    pub(crate) fn is_anything_owed(&self) -> bool {
        self.promised > 0
            && self.nodes.first().is_some_and(|root| !root.bounds.unmet_below.is_zero())
    }

    /// Whether the role, or one above it, is promised more than it has.
    pub(crate) fn is_owed(&self, role: u32) -> bool {
        if self.promised == 0 {
            return false;
        }
        let unmet = |role: u32| !self.node(role).bounds.unmet.is_zero();
        if !self.lineage(role).any(unmet) {
            return false;
        }
        self.headroom().iter().any(|(at, _)| {
            let mut room = Room::default();
            self.share_headroom(role, at, 0, &mut room);
            room.get(at).is_some_and(|left| left > 0)
        })
    }

    /// The first role, from this one up, whose limit leaves no room for so much.
    pub(crate) fn limiting(&self, role: u32, more: &Dims) -> Option<u32> {
        self.lineage(role).find(|above| {
            let limits = &self.node(*above).bounds.limits;
            limits.iter().any(|(at, limit)| {
                more.get(*at) > 0 && self.used(*above, *at) + more.get(*at) > *limit
            })
        })
    }
}
