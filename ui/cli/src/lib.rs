//! The `karman` command line: everything a developer or an admin does from a
//! laptop. It speaks HTTP with the gateway of a cluster and contains no server.

use std::process::ExitCode;

pub mod args;
pub mod choose;
pub mod command;
pub mod failure;
pub mod format;
pub mod http;
pub mod input;
pub mod output;
pub mod profile;
pub mod session;
pub mod tty;

use args::Args;
use output::Output;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::parsed() {
        Ok(args) => args,
        Err(error) => return unusable(&error),
    };
    let output = Output::new(args.global.json);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command::run(args)) {
        Ok(answer) => output.answer(&answer),
        Err(failure) => {
            output.failure(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// Help and version go to stdout with success, anything else is wrong usage.
fn unusable(error: &clap::Error) -> ExitCode {
    // Nothing is left to do where even the message cannot be written.
    drop(error.print());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
