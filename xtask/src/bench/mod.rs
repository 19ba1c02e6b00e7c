//! `cargo xtask bench`: measurements, always of release binaries.

mod first_run;
mod floor;
mod launches;
mod report;
mod submit;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start, submit, launch, and memory at rest
    FirstRun(report::Options),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::FirstRun(options) => first_run::run(options),
    }
}
