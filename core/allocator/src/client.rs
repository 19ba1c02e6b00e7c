//! A framework in one of its roles: who is offered something.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_model::id::FrameworkId;
use karman_model::quantity::Quantity;

use crate::bits::Bits;
use crate::demand::{Appetite, Demand};
use crate::dims::{Dims, Names};
use crate::machine::Machine;
use crate::{Constraints, Role};

/// A framework and its clients, one for each role that it has or is charged for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framework {
    /// It was [put](crate::Allocator::put_framework) and not removed.
    pub(crate) known: bool,
    pub(crate) demand: Demand,
    pub(crate) clients: BTreeMap<Role, u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) framework: FrameworkId,
    pub(crate) role: u32,
    pub(crate) appetite: Appetite,
    pub(crate) least: Least,
    /// Which agents it wants, if not all of them.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) allocated: Dims,
    /// How often it got something.
    pub(crate) grants: u64,
    /// Offers that it has not answered.
    pub(crate) offers: u32,
}

/// What is worth an offer.
#[derive(Clone, Debug)]
pub(crate) enum Least {
    /// The framework did not say: more than what is a crumb for everybody.
    Crumbs(Arc<[Dims]>),
    /// Whatever there is.
    Anything,
    /// All of any of these.
    Sizes(Vec<Dims>),
}

/// The answers of offer constraints, each found out once.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    constraints: Constraints,
    asked: Bits,
    admitted: Bits,
}

impl Client {
    pub(crate) fn new(framework: FrameworkId, role: u32) -> Self {
        Self {
            framework,
            role,
            appetite: Appetite::default(),
            least: Least::Anything,
            wanted: None,
            allocated: Dims::default(),
            grants: 0,
            offers: 0,
        }
    }

    pub(crate) fn describe(
        &mut self,
        demand: &Demand,
        role: &Role,
        names: &Names,
        crumbs: &Arc<[Dims]>,
    ) {
        self.appetite = demand.appetite;
        self.least = Least::read(demand.minimums.get(role), names, crumbs);
        self.wanted = demand.constraints.apply_to(role).then(|| Wanted {
            constraints: demand.constraints.clone(),
            asked: Bits::default(),
            admitted: Bits::default(),
        });
    }

    /// Asks each machine once.
    pub(crate) fn admits(&mut self, role: &str, agent: u32, machine: &Machine) -> bool {
        let Some(wanted) = &mut self.wanted else { return true };
        if !wanted.asked.has(agent) {
            wanted.asked.insert(agent);
            wanted.admitted.put(agent, wanted.constraints.admit(role, machine));
        }
        wanted.admitted.has(agent)
    }

    pub(crate) fn forget_agent(&mut self, agent: u32) {
        if let Some(wanted) = &mut self.wanted {
            wanted.asked.remove(agent);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.allocated.is_zero() && self.offers == 0
    }
}

impl Wanted {
    pub(crate) fn admits(&self, role: &str, machine: &Machine) -> bool {
        self.constraints.admit(role, machine)
    }
}

impl Least {
    pub(crate) fn read(
        alternatives: Option<&Vec<BTreeMap<String, Quantity>>>,
        names: &Names,
        crumbs: &Arc<[Dims]>,
    ) -> Self {
        match alternatives {
            None => Self::Crumbs(Arc::clone(crumbs)),
            Some(alternatives) if alternatives.is_empty() => Self::Anything,
            Some(alternatives) => Self::Sizes(sizes(alternatives, names)),
        }
    }

    pub(crate) fn is_met(&self, amounts: &Dims) -> bool {
        match self {
            Self::Anything => true,
            Self::Crumbs(least) => {
                least.is_empty() || least.iter().any(|least| amounts.covers(least))
            }
            Self::Sizes(_) => self.size(amounts).is_some(),
        }
    }

    /// The first declared size that fits.
    pub(crate) fn size(&self, amounts: &Dims) -> Option<&Dims> {
        match self {
            Self::Sizes(sizes) => sizes.iter().find(|size| amounts.covers(size)),
            Self::Anything | Self::Crumbs(_) => None,
        }
    }
}

/// A size with a name that no agent has yet fits nowhere.
pub(crate) fn sizes(alternatives: &[BTreeMap<String, Quantity>], names: &Names) -> Vec<Dims> {
    let size = |least: &BTreeMap<String, Quantity>| {
        let mut size = Dims::default();
        for (name, amount) in least.iter().filter(|(_, amount)| amount.is_positive()) {
            size.set(names.get(name)?, amount.thousandths());
        }
        Some(size)
    };
    alternatives.iter().filter_map(size).collect()
}
