//! The clusters that a user has set up. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::{Value, json};

use super::{or_dash, table};

/// One cluster of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub name: String,
    pub url: String,
    pub attached: bool,
    /// The release it answers with; `None` if it does not answer.
    pub version: Option<String>,
}

impl Entry {
    pub fn document(&self) -> Value {
        json!({
            "attached": self.attached,
            "cluster_id": self.id,
            "name": self.name,
            "status": if self.version.is_some() { "AVAILABLE" } else { "UNAVAILABLE" },
            "url": self.url,
            "version": self.version.as_deref().unwrap_or("UNKNOWN"),
        })
    }
}

/// One line per cluster; a star marks the attached one.
pub fn table_of(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no cluster is set up; set one up with: karman cluster setup URL\n".to_owned();
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            vec![
                format!("{}{}", if entry.attached { "* " } else { "  " }, entry.name),
                if entry.version.is_some() { "available" } else { "unavailable" }.to_owned(),
                or_dash(entry.version.clone().unwrap_or_default()),
                entry.url.clone(),
                entry.id.clone(),
            ]
        })
        .collect();
    table(&["  NAME", "STATUS", "VERSION", "URL", "ID"], &rows)
}
