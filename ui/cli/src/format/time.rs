//! Durations and moments as people read and write them. Pure.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

const SECOND_MS: i64 = 1_000;
const UNITS: [(&str, i64); 4] =
    [("d", 86_400 * SECOND_MS), ("h", 3_600 * SECOND_MS), ("m", 60 * SECOND_MS), ("s", SECOND_MS)];

/// The two largest units: `2d 3h`, `4m 5s`, `12s`.
pub fn duration(ms: i64) -> String {
    let mut rest = ms.max(0);
    let mut parts = Vec::new();
    for (name, unit) in UNITS {
        let amount = rest / unit;
        rest %= unit;
        if amount > 0 {
            parts.push(format!("{amount}{name}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// How long ago an RFC 3339 moment was; the text itself if it is not one.
pub fn ago(now_ms: i64, moment: &str) -> String {
    match milliseconds(moment) {
        Some(then) => format!("{} ago", duration(now_ms - then)),
        None => moment.to_owned(),
    }
}

/// An RFC 3339 moment in milliseconds since 1970.
pub fn milliseconds(moment: &str) -> Option<i64> {
    moment.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Seconds since 1970, as Mesos tells time, in RFC 3339.
pub fn from_seconds(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds are exact enough")]
    let ms = (seconds * 1000.0) as i64;
    jiff::Timestamp::from_millisecond(ms).map(|moment| format!("{moment:.3}")).unwrap_or_default()
}

/// Reads `90`, `90s`, `5m`, `1h30m`, `250ms`; a bare number means seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; write for example 90s, 5m or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(digits_end);
        let amount: u64 = digits.parse().map_err(|_| wrong())?;
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let ms = match unit {
            "ms" => Some(amount),
            "s" | "" => amount.checked_mul(1_000),
            "m" | "min" => amount.checked_mul(60_000),
            "h" => amount.checked_mul(3_600_000),
            "d" => amount.checked_mul(86_400_000),
            _ => None,
        };
        total = total.saturating_add(Duration::from_millis(ms.ok_or_else(wrong)?));
        rest = next;
    }
    Ok(total)
}
