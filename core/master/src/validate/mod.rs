//! Whether calls, frameworks and tasks obey the rules. Pure.
#![deny(clippy::disallowed_methods)]

pub mod call;
pub mod check;
pub mod constraints;
pub mod container;
pub mod executor;
pub mod framework;
pub mod operation;
pub mod resources;
pub mod task;

/// The most bytes of what a framework or an agent says about itself, as it is
/// stored; the store takes no larger value than twice as much.
pub const INFO_BYTES_MAX: usize = karman_store::VALUE_BYTES_MAX / 2;

/// Whether it can be stored: the master must not depend on what others say.
pub fn is_storable<T: serde::Serialize>(info: &T) -> bool {
    serde_json::to_vec(info).is_ok_and(|text| text.len() <= INFO_BYTES_MAX)
}

#[cfg(test)]
mod tests;
