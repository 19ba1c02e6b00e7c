//! Runs containers on one machine.
