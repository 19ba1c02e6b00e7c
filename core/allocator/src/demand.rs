//! What a framework wants to be offered.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use karman_model::quantity::Quantity;

use crate::Role;
use crate::constraints::Constraints;

/// Less than this much of both is not worth an offer to a framework that declares
/// no minimums, unless the allocator is [told](crate::Allocator::set_least)
/// something else.
pub const CPUS_MIN: Quantity = Quantity::from_thousandths(10);
pub const MEM_MIN: Quantity = Quantity::from_units(32);

/// A framework as far as it decides what it is offered.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    pub roles: BTreeSet<Role>,
    /// Roles in which it wants no offers for now.
    pub suppressed: BTreeSet<Role>,
    pub appetite: Appetite,
    pub minimums: Minimums,
    pub constraints: Constraints,
    /// Nothing is offered to an inactive framework.
    pub active: bool,
}

/// What a framework understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appetite {
    pub revocable: bool,
    pub gpu: bool,
    pub shared: bool,
    pub refined: bool,
    /// Knows that machines may stand in other regions than the master's.
    pub region_aware: bool,
}

/// Alternatives of least amounts, by role; any one of them is enough. A role
/// that is here without an alternative takes every crumb.
pub type Minimums = BTreeMap<Role, Vec<BTreeMap<String, Quantity>>>;
