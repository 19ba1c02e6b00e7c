//! `cargo xtask bench`: measurements, always of release binaries.

mod agent;
mod containers;
mod core;
mod first_run;
mod floor;
mod ha;
mod launches;
mod report;
mod submit;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start, submit, launch, and memory at rest
    FirstRun(report::Options),
    /// The resource core: allocation, failover, launches, reads, memory; agents are emulated
    Core(core::Options),
    /// Containers beside those of crun and runc; needs root
    Agent(report::Options),
    /// Three masters: failover, etcd, kills under load, installation; needs root
    Ha(ha::Options),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::FirstRun(options) => first_run::run(options),
        Command::Core(options) => core::run(&options),
        Command::Agent(options) => agent::run(options),
        Command::Ha(options) => ha::run(&options),
    }
}
