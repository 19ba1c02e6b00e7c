//! From machines to a datacenter.
//!
//! [`config`] reads `config.yaml` and finds every mistake in it, [`plan`] says
//! what belongs on which machine; both only compute. [`pki`] makes certificates,
//! [`commands`] is the rest: files and the terminal.

pub mod commands;
pub mod config;
pub mod layout;
pub mod pki;
pub mod plan;
pub mod release;
pub mod steps;
