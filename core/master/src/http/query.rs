//! Names and values of queries and forms.

use std::collections::BTreeMap;
use std::time::Duration;

/// The decoded pairs, the last of each name.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, if the name is there.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let read = |text: &str| {
            text.trim().parse().map_err(|_| {
                format!("Failed to parse '{name}': '{text}' is not a number that can be used here")
            })
        };
        self.get(name).map(read).transpose()
    }
}

/// The units of durations as Mesos writes them, the longer endings first.
const UNITS: &[(&str, f64)] = &[
    ("weeks", 604_800.0),
    ("days", 86_400.0),
    ("hrs", 3_600.0),
    ("mins", 60.0),
    ("secs", 1.0),
    ("ms", 1.0e-3),
    ("us", 1.0e-6),
    ("ns", 1.0e-9),
];

/// `10mins`, `1.5hrs`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let amount: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    Duration::try_from_secs_f64(amount * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_durations_are_read() {
        let query = Query::parse(b"a=1&b=x%20y&a=2&c=z+z&d");
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.number::<u8>("a"), Ok(Some(2)));
        assert!(query.number::<u8>("b").unwrap_err().contains("'x y'"));
        assert_eq!(query.number::<u8>("e"), Ok(None));
        assert_eq!((query.get("c"), query.get("d")), (Some("z z"), Some("")));
        assert_eq!(duration("10mins"), Some(Duration::from_secs(600)));
        assert_eq!(duration("1.5hrs"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("20 ms"), Some(Duration::from_millis(20)));
        for text in ["", "10", "mins", "-1secs", "infsecs", "1e300weeks", "10minutes"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
