//! Timestamps as this API writes them: `2026-01-31T12:00:00.000Z`.
#![deny(clippy::disallowed_methods)]

use jiff::Timestamp;

/// From milliseconds since the Unix epoch.
pub fn format(ms: u64) -> String {
    let timestamp = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default();
    format!("{timestamp:.3}")
}

/// Milliseconds since the Unix epoch; `None` if it is not a timestamp.
pub fn parse(text: &str) -> Option<u64> {
    text.parse::<Timestamp>()
        .ok()
        .and_then(|timestamp| u64::try_from(timestamp.as_millisecond()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_three_decimals_and_round_trip() {
        assert_eq!(format(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(1_767_225_600_120), "2026-01-01T00:00:00.120Z");
        assert_eq!(parse("2026-01-01T00:00:00.120Z"), Some(1_767_225_600_120));
        assert_eq!(parse("yesterday"), None);
    }
}
