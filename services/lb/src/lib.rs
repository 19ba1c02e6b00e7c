//! Virtual IPs of tasks.
//!
//! A label on a port of a task gives a service an address that stays while its
//! tasks come and go. [`vip`] computes from the discovery snapshot which
//! addresses there are and where each leads. This crate changes nothing in the
//! kernel: programming the table is the business of the network role, which
//! does not exist yet, and without root there is none.

pub mod vip;
