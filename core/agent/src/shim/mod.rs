//! The parent of one task: `<karmand> shim <run dir>`.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one task to its end. Called before any runtime exists: the shim is
/// single-threaded and small.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    match args.next() {
        Some(_run_dir) => ExitCode::SUCCESS,
        None => ExitCode::from(2),
    }
}
