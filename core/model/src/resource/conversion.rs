//! What operations do to resources: so much of some kinds becomes as much of
//! others. Nothing is made or lost.
#![deny(clippy::disallowed_methods)]

use super::{Resource, Resources, Value};
use crate::quantity::Quantity;

/// These resources become those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
}

impl Conversion {
    /// `target` is what it will be; each is taken from where it was before its
    /// last reservation.
    pub fn reserve(target: &Resources) -> Self {
        Self {
            consumed: target.map_kinds(|kind| *kind = kind.without_last_reservation()),
            converted: target.clone(),
        }
    }

    /// From one reservation to another.
    pub fn reserve_from(source: &Resources, target: &Resources) -> Self {
        Self { consumed: source.clone(), converted: target.clone() }
    }

    /// Each goes back to where it was before its last reservation.
    pub fn unreserve(reserved: &Resources) -> Self {
        Self::reserve(reserved).reversed()
    }

    /// Disk space becomes persistent volumes.
    pub fn create(volumes: &Resources) -> Self {
        Self {
            consumed: volumes.map_kinds(|kind| *kind = kind.without_volume()),
            converted: volumes.clone(),
        }
    }

    /// Persistent volumes become disk space.
    pub fn destroy(volumes: &Resources) -> Self {
        Self::create(volumes).reversed()
    }

    /// The volume takes `addition` in; `None` if either is not an amount.
    pub fn grow(volume: &Resource, addition: &Resource) -> Option<Self> {
        let (Value::Scalar(size), Value::Scalar(more)) = (&volume.value, &addition.value) else {
            return None;
        };
        let grown = Resource { kind: volume.kind.clone(), value: Value::Scalar(*size + *more) };
        Some(Self {
            consumed: [volume.clone(), addition.clone()].into_iter().collect(),
            converted: grown.into(),
        })
    }

    /// The volume gives `by` back; `None` if it is not larger than that.
    pub fn shrink(volume: &Resource, by: Quantity) -> Option<Self> {
        let Value::Scalar(size) = &volume.value else { return None };
        if *size <= by || !by.is_positive() {
            return None;
        }
        let left = Resource { kind: volume.kind.clone(), value: Value::Scalar(*size - by) };
        let freed = Resource { kind: volume.kind.without_volume(), value: Value::Scalar(by) };
        Some(Self {
            consumed: volume.clone().into(),
            converted: [left, freed].into_iter().collect(),
        })
    }

    /// What undoes it.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { consumed: self.converted, converted: self.consumed }
    }

    /// The same on nobody's account.
    #[must_use]
    pub fn unallocated(&self) -> Self {
        Self { consumed: self.consumed.unallocated(), converted: self.converted.unallocated() }
    }

    /// The same on the account of `role`.
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        Self {
            consumed: self.consumed.allocated_to(role),
            converted: self.converted.allocated_to(role),
        }
    }

    /// The pool afterwards; `None` if what is consumed is not in it.
    pub fn apply(&self, pool: &Resources) -> Option<Resources> {
        Some(pool.checked_sub(&self.consumed)? + &self.converted)
    }

    /// Whether there is as much of everything as before.
    pub fn conserves(&self) -> bool {
        let plain = |resources: &Resources| {
            resources.map_kinds(|kind| {
                *kind = kind.without_volume();
                kind.reservations.clear();
                kind.allocated_to = None;
            })
        };
        plain(&self.consumed) == plain(&self.converted)
    }
}
