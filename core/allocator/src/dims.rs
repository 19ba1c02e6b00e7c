//! Amounts as short vectors: one place for each name that occurs.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_model::quantity::Quantity;
use karman_model::resource::{Resource, Resources, Value};

use crate::quantities::Quantities;

/// What every cluster has.
const FIRST: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

/// Places that need no memory of their own.
const NEAR: usize = 6;

/// Which name has which place.
#[derive(Clone, Debug)]
pub(crate) struct Names(Vec<Arc<str>>);

/// Amounts in thousandths, by place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dims {
    near: [i64; NEAR],
    far: Vec<i64>,
}

impl Default for Names {
    fn default() -> Self {
        Self(FIRST.map(Arc::from).to_vec())
    }
}

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| **known == *name)
    }

    pub(crate) fn intern(&mut self, name: &Arc<str>) -> usize {
        self.get(name).unwrap_or_else(|| {
            self.0.push(Arc::clone(name));
            self.0.len() - 1
        })
    }

    pub(crate) fn intern_all(&mut self, resources: &Resources) {
        for Resource { kind, value } in resources {
            if let Value::Scalar(_) = value {
                self.intern(&kind.name);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn name(&self, at: usize) -> Option<&Arc<str>> {
        self.0.get(at)
    }

    /// The place and the amount, if it has an amount and a known name.
    pub(crate) fn amount(&self, resource: &Resource) -> Option<(usize, i64)> {
        match &resource.value {
            Value::Scalar(amount) => Some((self.get(&resource.kind.name)?, amount.thousandths())),
            Value::Ranges(_) | Value::Set(_) => None,
        }
    }

    /// The sums over what `keep` says, of names that are known.
    pub(crate) fn sum(&self, resources: &Resources, keep: impl Fn(&Resource) -> bool) -> Dims {
        let mut all = Dims::default();
        for resource in resources.iter().filter(|resource| keep(resource)) {
            if let Some((at, amount)) = self.amount(resource) {
                all.add_at(at, amount);
            }
        }
        all
    }

    pub(crate) fn quantities(&self, dims: &Dims) -> Quantities {
        dims.iter()
            .filter_map(|(at, amount)| {
                Some((Arc::clone(self.name(at)?), Quantity::from_thousandths(amount)))
            })
            .collect()
    }
}

impl Dims {
    pub(crate) fn get(&self, at: usize) -> i64 {
        match self.near.get(at) {
            Some(amount) => *amount,
            None => self.far.get(at - NEAR).copied().unwrap_or(0),
        }
    }

    pub(crate) fn set(&mut self, at: usize, amount: i64) {
        if let Some(place) = self.near.get_mut(at) {
            *place = amount;
            return;
        }
        if self.far.len() <= at - NEAR {
            self.far.resize(at - NEAR + 1, 0);
        }
        if let Some(place) = self.far.get_mut(at - NEAR) {
            *place = amount;
        }
    }

    pub(crate) fn add_at(&mut self, at: usize, amount: i64) {
        self.set(at, self.get(at).saturating_add(amount));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.near.iter_mut().zip(&other.near) {
            *mine = mine.saturating_add(*theirs);
        }
        for (at, amount) in other.far.iter().enumerate().filter(|(_, amount)| **amount != 0) {
            self.add_at(NEAR + at, *amount);
        }
    }

    pub(crate) fn sub(&mut self, other: &Self) {
        for (mine, theirs) in self.near.iter_mut().zip(&other.near) {
            *mine = mine.saturating_sub(*theirs);
        }
        for (at, amount) in other.far.iter().enumerate().filter(|(_, amount)| **amount != 0) {
            self.add_at(NEAR + at, -*amount);
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.near.iter().chain(&self.far).all(|amount| *amount == 0)
    }

    /// What is not zero.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, i64)> {
        self.near.iter().chain(&self.far).copied().enumerate().filter(|(_, amount)| *amount != 0)
    }

    /// Whether there is at least `least` of everything.
    pub(crate) fn covers(&self, least: &Self) -> bool {
        self.near.iter().zip(&least.near).all(|(mine, least)| mine >= least)
            && least.far.iter().enumerate().all(|(at, least)| self.get(NEAR + at) >= *least)
    }
}
