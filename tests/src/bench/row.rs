//! What has been measured, one line of JSON each.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

/// A number that somebody else reached, elsewhere.
pub(crate) struct Published {
    pub(crate) by: &'static str,
    pub(crate) value: f64,
}

#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) peer: Option<Published>,
    pub(crate) target: Option<f64>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, ..Self::default() }
    }

    pub(crate) fn peer(self, by: &'static str, value: f64) -> Self {
        Self { peer: Some(Published { by, value }), ..self }
    }

    pub(crate) fn target(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }

    pub(crate) fn print(&self) {
        let line = json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "peer": self.peer.as_ref().map(|peer| peer.value),
            "peer_name": self.peer.as_ref().map(|peer| peer.by),
            "target": self.target,
        });
        // Nobody reads any longer: nothing is left to do.
        let _closed = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Progress, for people.
pub(crate) fn say(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which `percent` of all lie.
pub(crate) fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let at = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}
