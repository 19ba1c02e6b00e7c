//! What there is to read.
#![deny(clippy::disallowed_methods)]

use karman_model::id::FrameworkId;

use crate::quantities::{Quantities, Quota};
use crate::{Allocator, Role};

/// A role with everything below it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleView {
    pub name: Role,
    pub weight: f64,
    pub quota: Option<Quota>,
    /// The largest part of any resource of the cluster that it holds.
    pub share: f64,
    /// Offered or used, reserved or not.
    pub allocated: Quantities,
    /// What of it is only offered, without what is reserved.
    pub offered: Quantities,
    /// Reserved on all agents, used or not.
    pub reserved: Quantities,
    /// See [`Allocator::consumption`].
    pub consumption: Quantities,
    /// The frameworks in the role itself that want offers.
    pub frameworks: Vec<FrameworkId>,
}

impl Allocator {
    /// Every role of a framework, a reservation, a weight or a quota, and all
    /// roles above them, by name.
    pub fn roles(&self) -> Vec<RoleView> {
        self.roles.iter().map(|(name, role)| self.view(name, role)).collect()
    }

    pub fn role(&self, name: &str) -> Option<RoleView> {
        let role = self.roles.get(name)?;
        Some(self.view(&self.roles.node(role).name, role))
    }

    /// What counts against quota: everything that is reserved to the role and
    /// those below, used or not, and what they use besides. What is only offered
    /// counts for limits, but is not in here.
    pub fn consumption(&self, role: &str) -> Quantities {
        let dims = self.roles.get(role).map(|role| self.roles.consumption(role));
        dims.map(|dims| self.names.quantities(&dims)).unwrap_or_default()
    }

    /// The same with what is only offered: what must not be more than the limit.
    pub fn claimed(&self, role: &str) -> Quantities {
        let dims = self.roles.get(role).map(|role| self.roles.claimed(role));
        dims.map(|dims| self.names.quantities(&dims)).unwrap_or_default()
    }

    /// What all agents have, with those that are expected.
    pub fn capacity(&self) -> Quantities {
        self.names.quantities(&self.capacity)
    }

    /// The first role, from this one up the tree, whose limit leaves no room for
    /// so much more.
    pub fn limiting(&self, role: &str, more: &Quantities) -> Option<Role> {
        let mut dims = crate::dims::Dims::default();
        for (name, amount) in more.iter() {
            if let Some(at) = self.names.get(name) {
                dims.set(at, amount.thousandths());
            }
        }
        let mut above = Some(role);
        // A role that nobody is in yet is limited by those above it.
        while let Some(name) = above {
            if let Some(known) = self.roles.get(name) {
                let role = self.roles.limiting(known, &dims)?;
                return Some(Role::clone(&self.roles.node(role).name));
            }
            above = name.rsplit_once('/').map(|(above, _)| above);
        }
        None
    }

    fn view(&self, name: &Role, role: u32) -> RoleView {
        let node = self.roles.node(role);
        let amounts = |dims| self.names.quantities(dims);
        let members = self.roles.members(role).filter_map(|at| self.client(at));
        let mut frameworks: Vec<FrameworkId> =
            members.map(|client| client.framework.clone()).collect();
        frameworks.sort();
        RoleView {
            name: Role::clone(name),
            weight: self.roles.weight(role),
            quota: node.bounds.quota.clone(),
            share: self.roles.share(role, &self.order.total),
            allocated: amounts(node.allocated()),
            offered: amounts(node.offered()),
            reserved: amounts(node.reserved()),
            consumption: amounts(&self.roles.consumption(role)),
            frameworks,
        }
    }
}
