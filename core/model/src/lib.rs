//! The nouns of the resource core: typed ids, exact quantities, ranges,
//! resources and their algebra, roles, attributes, instants, and the map that
//! snapshots are made of. Pure: no wire format, no I/O, no clock.
#![deny(clippy::disallowed_methods)]

pub mod attribute;
pub mod id;
pub mod quantity;
pub mod ranges;
pub mod resource;
pub mod role;
pub mod shared_map;
pub mod time;

#[cfg(test)]
mod strategies;
