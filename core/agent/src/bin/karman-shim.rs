//! The shim by itself: `karman-shim shim <run dir>`, as the node daemon runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The program and the word "shim".
    karman_agent::shim::main(std::env::args_os().skip(2))
}
