//! How much there is of a resource.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fmt;

use crate::quantity::Quantity;
use crate::ranges::Ranges;

/// An amount, a set of numbers or a set of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Scalar(Quantity),
    Ranges(Ranges),
    Set(BTreeSet<String>),
}

impl Value {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(amount) => amount.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(items) => items.is_empty(),
        }
    }

    /// Whether `other` can be taken out; never between different shapes.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => mine >= theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.contains(theirs),
            (Self::Set(mine), Self::Set(theirs)) => theirs.is_subset(mine),
            (Self::Scalar(_) | Self::Ranges(_) | Self::Set(_), _) => false,
        }
    }

    /// Puts `other` on top; a value of another shape is left out.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => *mine += *theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => *mine = mine.union(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.extend(theirs.iter().cloned()),
            (Self::Scalar(_) | Self::Ranges(_) | Self::Set(_), _) => {
                debug_assert!(false, "values of one kind share a shape");
            }
        }
    }

    /// Takes `other` out, as far as it is there.
    pub(super) fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => *mine -= (*mine).min(*theirs),
            (Self::Ranges(mine), Self::Ranges(theirs)) => *mine = mine.difference(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.retain(|item| !theirs.contains(item)),
            (Self::Scalar(_) | Self::Ranges(_) | Self::Set(_), _) => {}
        }
    }

    /// What both have.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => Some(Self::Scalar(*mine.min(theirs))),
            (Self::Ranges(mine), Self::Ranges(theirs)) => {
                Some(Self::Ranges(mine.intersection(theirs)))
            }
            (Self::Set(mine), Self::Set(theirs)) => Some(Self::Set(mine & theirs)),
            (Self::Scalar(_) | Self::Ranges(_) | Self::Set(_), _) => None,
        }
    }

    /// 0 for scalars, 1 for ranges, 2 for sets: shapes of one name never mix.
    pub(super) const fn shape(&self) -> u8 {
        match self {
            Self::Scalar(_) => 0,
            Self::Ranges(_) => 1,
            Self::Set(_) => 2,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(amount) => amount.fmt(f),
            Self::Ranges(ranges) => ranges.fmt(f),
            Self::Set(items) => {
                write!(f, "{{{}}}", items.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
