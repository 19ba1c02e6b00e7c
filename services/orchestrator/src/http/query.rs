//! The query of a request.

use std::collections::BTreeSet;

/// Names and values, in order; names may repeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `true` in any case; Python clients write `True`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.text(name).is_some() { self.flag(name) } else { default }
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What to put into answers on top, without the prefixes that say where.
    pub(super) fn embed(&self) -> BTreeSet<&str> {
        let strip = |value| {
            let mut value: &str = value;
            for prefix in ["group.apps.", "apps.", "app."] {
                value = value.strip_prefix(prefix).unwrap_or(value);
            }
            value
        };
        self.all("embed").flat_map(|value| value.split(',')).map(strip).collect()
    }
}
