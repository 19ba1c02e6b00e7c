//! Of the upstream answers, what the pages show. Unknown fields are ignored
//! and missing ones have their zero, so that a page survives other versions.
#![deny(clippy::disallowed_methods)]

pub mod marathon;
pub mod mesos;
