//! Karman's own API, `/karman/v1`.
#![deny(clippy::disallowed_methods)]

pub mod discovery;
pub mod label;
