//! The published clients of the systems that Karman is compatible with.

mod mesos_go;
mod python;
