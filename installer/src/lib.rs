//! From machines to a datacenter.
//!
//! What decides only computes: [`config`] reads `config.yaml` and finds every
//! mistake in it, [`plan`] says what belongs on which machine, [`release`] names
//! what all machines share, [`layout`] says what a machine shall be and
//! [`steps`] how it becomes so, [`findings`] whether it can.
//!
//! What does: [`node`] works on a machine, [`remote`] leads there over SSH,
//! [`crew`] on all of them at once, [`join`] lets them come by themselves;
//! [`payload`] is what the installer carries,
//! [`bundle`] is all of a deployment in a file, [`pki`] makes certificates, [`site`] keeps what only the administrator has,
//! [`commands`] is the terminal.

pub mod bundle;
pub mod commands;
pub mod config;
pub mod crew;
pub mod findings;
pub mod join;
pub mod layout;
pub mod node;
pub mod payload;
pub mod pki;
pub mod plan;
pub mod release;
pub mod remote;
pub mod site;
pub mod steps;
