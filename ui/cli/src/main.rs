//! Entry point of `karman`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // TLS has exactly one crypto provider; a second installation is harmless.
    drop(rustls::crypto::ring::default_provider().install_default());
    karman_cli::main()
}
