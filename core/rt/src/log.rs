//! Logging to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Installs the logger. `filter` follows the `RUST_LOG` syntax; the environment
/// variable `KARMAN_LOG` overrides it.
pub fn init(filter: &str, format: Format) {
    let filter = EnvFilter::try_from_env("KARMAN_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    // Colours are for people: a file or a journal gets plain text.
    let colours = std::io::stderr().is_terminal();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        .with_ansi(colours);
    // A second logger in one process (tests) is ignored.
    let installed = match format {
        Format::Text => builder.compact().try_init(),
        Format::Json => builder.json().try_init(),
    };
    drop(installed);
}
