//! Amounts by name, over all kinds.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use karman_model::quantity::Quantity;
use karman_model::resource::{Resources, Value};

/// How much of each name; none is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(BTreeMap<Arc<str>, Quantity>);

/// What a role is promised and what it may have at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Kept free for the role until it has that much.
    pub guarantees: Quantities,
    /// A name that is not here is not limited; one that is here with nothing
    /// must not be used at all.
    pub limits: BTreeMap<Arc<str>, Quantity>,
}

impl Quantities {
    /// The amounts in `resources`; numbers and names are not counted.
    pub fn of(resources: &Resources) -> Self {
        let mut all = Self::default();
        for resource in resources {
            if let Value::Scalar(amount) = &resource.value {
                all.add(&resource.kind.name, *amount);
            }
        }
        all
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Quantity {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub fn add(&mut self, name: &Arc<str>, amount: Quantity) {
        let sum = self.get(name) + amount;
        if sum.is_zero() {
            self.0.remove(name);
        } else {
            self.0.insert(Arc::clone(name), sum);
        }
    }

    pub fn plus(&mut self, more: &Self) {
        more.iter().for_each(|(name, amount)| self.add(name, amount));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Quantity)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Quantity)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (N, Quantity)>>(list: I) -> Self {
        let mut all = Self::default();
        for (name, amount) in list {
            all.add(&name.into(), amount);
        }
        all
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, amount)) in self.0.iter().enumerate() {
            write!(f, "{}{name}:{amount}", if i == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}
