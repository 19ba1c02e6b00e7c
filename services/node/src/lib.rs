//! The composition root: reads arguments and configuration, chooses addresses,
//! starts the roles in order and stops them. It contains no logic of any role.

pub mod args;
mod capacity;
pub mod config;
pub mod data_dir;
pub mod ports;
mod reader;
pub mod resources;
pub mod roles;
pub mod serve;
pub mod up;

/// The version that all roles report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
