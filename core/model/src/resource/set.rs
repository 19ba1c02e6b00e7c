//! A bag of resources with exact addition and subtraction.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

use super::{Kind, Resource, Value};
use crate::quantity::Quantity;
use crate::ranges::Ranges;

/// At most one value per kind and shape, sorted, none empty.
///
/// Amounts of one kind add up, but for what is shared: it is there once however
/// often it is put in. What is indivisible can only be taken out as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources(Vec<Resource>);

impl Resources {
    pub const EMPTY: Self = Self(Vec::new());

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.0.iter()
    }

    /// How much there is of `name` over all kinds of it; zero if it has no
    /// amount.
    pub fn scalar(&self, name: &str) -> Quantity {
        self.named(name)
            .map(|resource| match &resource.value {
                Value::Scalar(amount) => *amount,
                Value::Ranges(_) | Value::Set(_) => Quantity::ZERO,
            })
            .sum()
    }

    /// The numbers of `name` over all kinds of it.
    pub fn ranges(&self, name: &str) -> Ranges {
        self.named(name).fold(Ranges::EMPTY, |all, resource| match &resource.value {
            Value::Ranges(ranges) if all.is_empty() => ranges.clone(),
            Value::Ranges(ranges) => all.union(ranges),
            Value::Scalar(_) | Value::Set(_) => all,
        })
    }

    /// The names of everything in here, each once, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        let mut last: Option<&str> = None;
        self.0
            .iter()
            .map(|resource| &*resource.kind.name)
            .filter(move |name| last.replace(name) != Some(*name))
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Resource> + 'a {
        let start = self.0.partition_point(|resource| &*resource.kind.name < name);
        self.0.iter().skip(start).take_while(move |resource| &*resource.kind.name == name)
    }

    fn position(&self, wanted: &Resource) -> Result<usize, usize> {
        self.0.binary_search_by(|resource| order(resource, wanted))
    }

    /// Whether all of `other` can be taken out.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|wanted| {
            self.position(wanted).ok().and_then(|at| self.0.get(at)).is_some_and(|resource| {
                if wanted.kind.is_indivisible() {
                    resource.value == wanted.value
                } else {
                    resource.value.contains(&wanted.value)
                }
            })
        })
    }

    /// What is left without `other`; `None` if not all of it is here.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.contains(other).then(|| self.saturating_sub(other))
    }

    /// What is left without as much of `other` as is here; what is indivisible
    /// goes as a whole or stays.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.take(other);
        left
    }

    /// Takes as much of `other` out as is here; what is indivisible goes as a
    /// whole or stays.
    pub fn take(&mut self, other: &Self) {
        for taken in &other.0 {
            if let Ok(at) = self.position(taken)
                && let Some(resource) = self.0.get_mut(at)
                && (!taken.kind.is_indivisible() || resource.value == taken.value)
            {
                resource.value.subtract(&taken.value);
                if resource.value.is_empty() {
                    self.0.remove(at);
                }
            }
        }
    }

    /// Puts one resource in; an empty one changes nothing.
    pub fn insert(&mut self, resource: Resource) {
        if resource.value.is_empty() {
            return;
        }
        match self.position(&resource) {
            Ok(at) => {
                if let Some(mine) = self.0.get_mut(at).filter(|mine| !mine.kind.shared) {
                    mine.value.add(&resource.value);
                }
            }
            Err(at) => self.0.insert(at, resource),
        }
    }

    /// Only what `keep` says.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Kind) -> bool) -> Self {
        Self(self.0.iter().filter(|resource| keep(&resource.kind)).cloned().collect())
    }

    /// Only what one alone can use at a time.
    pub fn exclusive(&self) -> Cow<'_, Self> {
        if self.0.iter().all(|resource| !resource.kind.shared) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(self.filter(|kind| !kind.shared))
    }

    /// Whether several can use something in here at a time.
    pub fn has_shared(&self) -> bool {
        self.0.iter().any(|resource| resource.kind.shared)
    }

    /// What both have.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let both = self.0.iter().filter_map(|mine| {
            let theirs = other.position(mine).ok().and_then(|at| other.0.get(at))?;
            let value = if mine.kind.is_indivisible() {
                (mine.value == theirs.value).then(|| mine.value.clone())?
            } else {
                mine.value.common(&theirs.value)?
            };
            Some(Resource { kind: mine.kind.clone(), value })
        });
        both.collect()
    }

    /// Only what several can use at a time.
    #[must_use]
    pub fn shared(&self) -> Self {
        self.filter(|kind| kind.shared)
    }

    /// The same, with each volume as it is in `pool`: who uses a volume says how,
    /// and that is no part of what it is.
    #[must_use]
    pub fn aligned_with(&self, pool: &Self) -> Self {
        if !self.0.iter().any(|resource| resource.kind.is_persistent_volume()) {
            return self.clone();
        }
        self.map_kinds(|kind| {
            if kind.is_persistent_volume()
                && let Some(known) = pool.0.iter().find(|known| known.kind.is_same_but_use(kind))
            {
                kind.clone_from(&known.kind);
            }
        })
    }

    /// The same as the agents' own configuration has it: no operation has touched
    /// it.
    #[must_use]
    pub fn origin(&self) -> Self {
        self.map_kinds(|kind| *kind = kind.origin())
    }

    /// The same on the account of `role`.
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        let role: Arc<str> = role.into();
        self.map_kinds(|kind| kind.allocated_to = Some(Arc::clone(&role)))
    }

    /// The same on the account of `role`, without a copy if all was on one account.
    #[must_use]
    pub fn into_allocated_to(mut self, role: &Arc<str>) -> Self {
        if self.is_on_one_account() {
            for resource in &mut self.0 {
                resource.kind.allocated_to = Some(Arc::clone(role));
            }
            return self;
        }
        self.map_kinds(|kind| kind.allocated_to = Some(Arc::clone(role)))
    }

    /// The same on nobody's account.
    #[must_use]
    pub fn unallocated(&self) -> Self {
        if self.is_on_one_account() {
            let mut all = self.clone();
            for resource in &mut all.0 {
                resource.kind.allocated_to = None;
            }
            return all;
        }
        self.map_kinds(|kind| kind.allocated_to = None)
    }

    /// Then they stay different and in order whoever's account that is.
    fn is_on_one_account(&self) -> bool {
        let mut accounts = self.0.iter().map(|resource| &resource.kind.allocated_to);
        accounts.next().is_none_or(|first| accounts.all(|other| other == first))
    }

    /// The same as if nothing were reserved, for sums over all reservations.
    #[must_use]
    pub fn unreserved_view(&self) -> Self {
        self.map_kinds(|kind| kind.reservations.clear())
    }

    pub(super) fn map_kinds(&self, change: impl Fn(&mut Kind)) -> Self {
        let changed = self.0.iter().map(|resource| {
            let mut resource = resource.clone();
            change(&mut resource.kind);
            resource
        });
        changed.collect()
    }

    /// Only what is reserved to nobody.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(|kind| kind.reservations.is_empty())
    }

    /// Only what is reserved to exactly `role`.
    #[must_use]
    pub fn reserved_to(&self, role: &str) -> Self {
        self.filter(|kind| kind.reserved_to() == Some(role))
    }

    /// Every role that something here is reserved to.
    pub fn reserved_roles(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|resource| resource.kind.reserved_to()).collect()
    }
}

fn order(a: &Resource, b: &Resource) -> Ordering {
    a.kind.cmp(&b.kind).then_with(|| a.value.shape().cmp(&b.value.shape()))
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(list: I) -> Self {
        let mut all = Self::EMPTY;
        for resource in list {
            all.insert(resource);
        }
        all
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<Resource> for Resources {
    fn from(resource: Resource) -> Self {
        Self::from_iter([resource])
    }
}

impl AddAssign<&Self> for Resources {
    fn add_assign(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for resource in &other.0 {
            self.insert(resource.clone());
        }
    }
}

impl Add<&Self> for Resources {
    type Output = Self;

    fn add(mut self, other: &Self) -> Self {
        self += other;
        self
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self + &other
    }
}

impl Add for &Resources {
    type Output = Resources;

    fn add(self, other: Self) -> Resources {
        self.clone() + other
    }
}

impl<'a> std::iter::Sum<&'a Self> for Resources {
    fn sum<I: Iterator<Item = &'a Self>>(list: I) -> Self {
        list.fold(Self::EMPTY, |sum, resources| sum + resources)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Resource { kind, value }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ";" };
            match kind.reserved_to() {
                Some(role) => write!(f, "{separator}{}({role}):{value}", kind.name)?,
                None => write!(f, "{separator}{}:{value}", kind.name)?,
            }
        }
        Ok(())
    }
}
