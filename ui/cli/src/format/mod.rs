//! What answers look like: tables, fields, durations, reasons. Documents of the
//! servers go in, text comes out. Pure.
#![deny(clippy::disallowed_methods)]

pub mod app;
pub mod cluster;
pub mod deployment;
pub mod document;
pub mod image;
pub mod node;
pub mod queue;
pub mod service;
pub mod table;
pub mod task;
pub mod time;

pub use table::{fields, table};

/// A number without needless decimals: `0.1`, `64`, `1.25`.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `3 instances`, `1 instance`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// A number of bytes, rounded for people.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = size as f64 / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// At most `width` characters, the last an ellipsis where some are left out.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Text, or a dash where there is none.
pub fn or_dash(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
