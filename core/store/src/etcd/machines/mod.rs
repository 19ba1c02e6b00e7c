//! Everything that the etcd engine decides, without doing any of it. Pure.
//!
//! [`candidate`] takes leadership, keeps it and writes under its fence;
//! [`follow`] decides when a watch goes on and when it must list again;
//! [`timeline`] keeps revisions growing when a cluster was set back;
//! [`endpoints`] chooses the member to talk to; [`pages`] how much to ask for.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

pub(crate) mod call;
pub(crate) mod candidate;
pub(crate) mod endpoints;
pub(crate) mod follow;
pub(crate) mod keys;
pub(crate) mod pages;
pub(crate) mod record;
pub(crate) mod timeline;

/// The time of an event, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Since some fixed moment of this process; never set back.
    pub(crate) uptime: Duration,
    /// Milliseconds since 1970; anybody may set it.
    pub(crate) wall_ms: u64,
}
