//! Between whoever looks into a container and the shim that holds it.

pub(crate) mod client;
pub mod frame;
