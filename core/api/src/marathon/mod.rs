//! The Marathon API.

pub mod v2;
