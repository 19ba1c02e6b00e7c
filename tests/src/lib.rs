//! Structure, conformance, end to end: what is true of the whole, and of the
//! real binaries. `cargo xtask test` builds what these tests start.

pub mod binaries;
pub mod browser;
pub mod chaos;
pub mod datacenter;
pub mod dns;
pub mod etcd;
pub mod eventually;
pub mod fuzz;
pub mod http;
pub mod marathon;
pub mod ports;
pub mod processes;
pub mod requirement;
pub mod room;
pub mod scheduler;

#[cfg(test)]
mod arch;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod e2e;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod simulation;
