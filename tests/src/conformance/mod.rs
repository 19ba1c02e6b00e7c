//! The published clients of the systems that Karman is compatible with.

mod python;
