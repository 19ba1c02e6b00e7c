//! Whether calls, frameworks and tasks obey the rules. Pure.
#![deny(clippy::disallowed_methods)]

pub(crate) mod call;
pub(crate) mod framework;
pub(crate) mod task;

#[cfg(test)]
mod tests;
