//! The published clients of the systems that Karman is compatible with.

mod executor;
mod mesos_go;
mod python;
