//! Typed clients of the APIs.

pub mod scheduler;
