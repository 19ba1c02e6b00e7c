//! Names of tasks.
