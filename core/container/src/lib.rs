//! Runs one process in a container: its own view of files, processes and the
//! network, limits that hold, and no more rights than it needs.
//!
//! What is to be done is decided by [`plan`], which is pure; [`launch`] does it.
//! Who calls it has one thread and stays the parent of what it starts. There
//! is no daemon, and nothing is mounted where the machine could see it: when
//! the last process of a container ends, nothing of it is left but its files.
//!
//! It knows no tasks, no agents and no images; layers are folders to it.

pub mod cgroup;
pub mod launch;
pub mod passwd;
pub mod plan;
pub mod process;
pub mod seccomp;
pub mod spec;

pub use spec::{Error, Spec};
