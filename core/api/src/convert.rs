//! Between the wire and the nouns of `karman_model`.
//!
//! Resources travel in two formats. The old one says `role` and, for dynamic
//! reservations, `reservation`; the refined one says `reservations`, a stack.
//! Both are read; which one is written is the caller's choice, because old
//! clients refuse the new format.
#![deny(clippy::disallowed_methods)]

mod attributes;
mod disk;
mod ids;
mod resources;
mod value;

use karman_model::{quantity, ranges, role};

pub use attributes::{attributes_from_wire, attributes_to_wire};
pub use resources::{
    Format, resource_from_wire, resource_to_wire, resources_from_wire, resources_to_wire,
};

/// What is wrong with something that came over a wire, and at which field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} of '{name}' {}", problem.text())]
pub struct Error {
    /// The name of the resource or attribute.
    pub name: String,
    /// The field, as in the wire format.
    pub field: &'static str,
    pub problem: Problem,
}

/// Why a field is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Missing,
    Negative,
    Unsupported,
    /// Both formats of reservations at once, or half of one.
    Mixed,
    Amount(quantity::Error),
    Ranges(ranges::Error),
    Role(role::Error),
    /// A refinement whose role is not below the one it refines.
    NotBelow {
        role: String,
        parent: String,
    },
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::Missing => "is missing".to_owned(),
            Self::Negative => "must not be negative".to_owned(),
            Self::Unsupported => "has a value that is not supported".to_owned(),
            Self::Mixed => "contradicts its other reservation fields".to_owned(),
            Self::Amount(error) => format!("is refused: {error}"),
            Self::Ranges(error) => format!("is refused: {error}"),
            Self::Role(error) => format!("is refused: {error}"),
            Self::NotBelow { role, parent } => {
                format!("is refused: '{role}' does not refine '{parent}'")
            }
        }
    }
}

fn error(name: &str, field: &'static str, problem: Problem) -> Error {
    Error { name: name.to_owned(), field, problem }
}

#[cfg(test)]
mod tests;
