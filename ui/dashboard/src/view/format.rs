//! Numbers and times as people read them.
#![deny(clippy::disallowed_methods)]

/// Cores: `0.1`, `2`, `31.5`.
pub fn cpus(cores: f64) -> String {
    let text = format!("{cores:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// An amount in MiB with the unit that keeps it short.
pub fn mib(mib: f64) -> String {
    let (amount, unit) = if mib >= 1024.0 * 1024.0 {
        (mib / (1024.0 * 1024.0), "TiB")
    } else if mib >= 1024.0 {
        (mib / 1024.0, "GiB")
    } else {
        (mib, "MiB")
    };
    let text = format!("{amount:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

pub fn bytes(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut whole = bytes;
    let mut tenth = 0;
    let mut unit = "B";
    for name in UNITS {
        if whole < 1024 {
            break;
        }
        tenth = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = name;
    }
    if whole < 10 { format!("{whole}.{tenth} {unit}") } else { format!("{whole} {unit}") }
}

/// `part` of `whole` in percent, 0 to 100. A part that is there is at least 1.
pub fn percent(part: f64, whole: f64) -> u8 {
    if part <= 0.0 || whole <= 0.0 {
        return 0;
    }
    let share = (part / whole * 100.0).round().clamp(1.0, 100.0);
    (1..=100).rev().find(|percent| f64::from(*percent) <= share).unwrap_or(1)
}

/// How long something lasts: coarse, so that a live page does not flicker.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => "under a minute".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago a moment was.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) / 1000 {
        0..60 => "just now".to_owned(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// Milliseconds since the epoch of an RFC 3339 time.
pub fn parse_time(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// A moment in full, in UTC.
pub fn moment(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Seconds since the epoch, as Mesos writes them, in milliseconds.
pub fn from_seconds(seconds: f64) -> u64 {
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(whole.as_millis()).unwrap_or(u64::MAX)
}

/// A moment with its distance, as a page shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    pub ago: String,
    pub full: String,
}

impl When {
    pub fn at(then_ms: u64, now_ms: u64) -> Self {
        if then_ms == 0 {
            return Self::default();
        }
        Self { ago: ago(then_ms, now_ms), full: moment(then_ms) }
    }

    pub fn parse(text: &str, now_ms: u64) -> Self {
        Self::at(parse_time(text).unwrap_or_default(), now_ms)
    }
}

/// `1 task`, `2 tasks`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (amount, expected) in
            [(0.0, "0"), (0.1, "0.1"), (2.0, "2"), (31.25, "31.25"), (0.0004, "0")]
        {
            assert_eq!(cpus(amount), expected);
        }
        for (amount, expected) in [
            (0.0, "0 MiB"),
            (128.0, "128 MiB"),
            (1536.0, "1.5 GiB"),
            (2048.0, "2 GiB"),
            (3_145_728.0, "3 TiB"),
        ] {
            assert_eq!(mib(amount), expected);
        }
        for (amount, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (20_480, "20 KiB"),
            (5_242_880, "5.0 MiB"),
        ] {
            assert_eq!(bytes(amount), expected);
        }
    }

    #[test]
    fn percents_show_that_something_is_there() {
        for (part, whole, expected) in [
            (0.0, 8.0, 0),
            (0.001, 8.0, 1),
            (4.0, 8.0, 50),
            (9.0, 8.0, 100),
            (1.0, 0.0, 0),
            (1.0, 3.0, 33),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn times() {
        let now = parse_time("2026-11-22T03:00:00.000Z").unwrap();
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (7200, "2 h ago"),
            (200_000, "2 d ago"),
        ] {
            assert_eq!(ago(now - seconds * 1000, now), expected);
        }
        assert_eq!(moment(now), "2026-11-22 03:00:00 UTC");
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(from_seconds(1.5), 1500);
        assert_eq!(from_seconds(-1.0), 0);
        assert_eq!(When::at(0, now), When::default());
    }
}
