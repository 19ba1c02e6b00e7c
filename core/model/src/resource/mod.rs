//! Resources and their algebra.
//!
//! A [`Resource`] is a [`Kind`] (name, reservations, disk, …) and a [`Value`]
//! (how much of it). [`Resources`] holds at most one value per kind, sorted,
//! none empty: equal amounts are equal values whatever the order of sums.
#![deny(clippy::disallowed_methods)]

mod conversion;
mod kind;
mod parse;
mod reconcile;
mod set;
mod tally;
mod value;

pub use conversion::Conversion;
pub use kind::{
    Disk, Kind, Label, Persistence, Reservation, ReservationType, Source, SourceType, Volume,
    VolumeMode,
};
pub use parse::Error as ParseError;
pub use reconcile::{Reconciled, reconcile};
pub use set::Resources;
pub use tally::Tally;
pub use value::Value;

/// An amount of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    pub kind: Kind,
    pub value: Value,
}

impl Resource {
    /// So much of something that is not reserved, not on a disk of its own and
    /// not revocable.
    pub fn scalar(name: &str, amount: crate::quantity::Quantity) -> Self {
        Self { kind: Kind::named(name), value: Value::Scalar(amount) }
    }

    pub fn ranges(name: &str, ranges: crate::ranges::Ranges) -> Self {
        Self { kind: Kind::named(name), value: Value::Ranges(ranges) }
    }
}

#[cfg(test)]
mod tests;
