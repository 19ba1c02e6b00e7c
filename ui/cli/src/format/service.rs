//! Schedulers (frameworks). Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

use super::document::{flag, list, number as number_at, text};
use super::{number, or_dash, table};

/// Which frameworks to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    pub inactive: bool,
    pub completed: bool,
}

/// The frameworks of a master, active ones unless asked for more.
pub fn select(frameworks: &Value, which: Which) -> Vec<Value> {
    let mut chosen: Vec<Value> = list(frameworks, "/frameworks")
        .iter()
        .filter(|framework| which.inactive || which.completed || flag(framework, "/active"))
        .cloned()
        .collect();
    if which.completed {
        chosen.extend_from_slice(list(frameworks, "/completed_frameworks"));
    }
    chosen.sort_by(|a, b| {
        (text(a, "/name"), text(a, "/id")).cmp(&(text(b, "/name"), text(b, "/id")))
    });
    chosen
}

/// One line per framework.
pub fn table_of(frameworks: &[Value]) -> String {
    if frameworks.is_empty() {
        return "no service is active\n".to_owned();
    }
    let rows: Vec<Vec<String>> = frameworks
        .iter()
        .map(|framework| {
            let amount =
                |name: &str| number(number_at(framework, &format!("/used_resources/{name}")));
            vec![
                text(framework, "/name").to_owned(),
                or_dash(text(framework, "/hostname")),
                if flag(framework, "/active") { "yes" } else { "no" }.to_owned(),
                list(framework, "/tasks").len().to_string(),
                amount("cpus"),
                amount("mem"),
                amount("disk"),
                text(framework, "/id").to_owned(),
            ]
        })
        .collect();
    table(&["NAME", "HOST", "ACTIVE", "TASKS", "CPUS", "MEM MIB", "DISK MIB", "ID"], &rows)
}
