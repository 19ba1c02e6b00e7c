//! Developer commands: `cargo xtask up`, `datacenter`, `dist`, `test`, `ci`, `fuzz` and `bench`.

mod bench;
mod ci;
mod datacenter;
mod dist;
mod elf;
mod etcd;
mod fuzz;
mod http;
mod karmand;
mod mesos_go;
mod packages;
mod process;
mod test;
mod tree;
mod up;
mod venv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Karman.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, start a datacenter on this machine and deploy a sample app
    Up(up::Args),
    /// Nodes to install on, on this machine
    Datacenter(datacenter::Args),
    /// Build the one file with which a datacenter is installed
    Dist(dist::Args),
    /// Set up what the tests need and run them
    Test {
        /// Instead, the tests with whole machines; needs root
        #[arg(long)]
        datacenter: bool,
        /// Arguments for cargo nextest run
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        nextest: Vec<String>,
    },
    /// Everything that CI checks: format, lints, tests, documentation
    Ci,
    /// Look for bytes that break what comes over a wire
    Fuzz(fuzz::Args),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Command),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Datacenter(args) => datacenter::run(args),
        Command::Dist(args) => dist::run_all(&args),
        Command::Test { datacenter: true, nextest } => test::on_nodes(&nextest),
        Command::Test { datacenter: false, nextest } => test::run(&nextest),
        Command::Ci => ci::run(),
        Command::Fuzz(args) => fuzz::run_all(&args),
        Command::Bench(command) => bench::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn all_commands_can_be_parsed() {
        Args::command().debug_assert();
    }
}
