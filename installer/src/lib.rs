//! From machines to a datacenter.
//!
//! [`config`] reads `config.yaml` and finds every mistake in it, [`plan`] says
//! what belongs on which machine; both only compute. [`commands`] is the rest:
//! files and the terminal. No machine is touched yet.

pub mod commands;
pub mod config;
pub mod plan;
