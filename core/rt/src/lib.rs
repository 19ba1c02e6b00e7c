//! How a process lives: tasks and shutdown, the HTTP server, configuration,
//! logging, metrics. It knows nothing of resources, services or users.

pub mod config;
pub mod http;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod signal;
pub mod tasks;
pub mod time;
pub mod tls;

pub use tasks::Tasks;

/// The message of an error followed by those of its causes, for one log line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
