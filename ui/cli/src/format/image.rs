//! Images on nodes. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

use super::document::{integer, list, text};
use super::{bytes, or_dash, table};

/// Digits of a digest that tell images apart.
const DIGEST_CHARS: usize = 19;

/// One line per image and node.
pub fn table_of(nodes: &[Value]) -> String {
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .flat_map(|node| list(node, "/images").iter().map(|image| row(node, image)))
        .collect();
    if rows.is_empty() {
        return "there are no images on the nodes\n".to_owned();
    }
    table(&["NODE", "IMAGE", "DIGEST", "SIZE", "TASKS"], &rows)
}

fn row(node: &Value, image: &Value) -> Vec<String> {
    let names: Vec<&str> = list(image, "/names").iter().filter_map(Value::as_str).collect();
    vec![
        text(node, "/node").to_owned(),
        or_dash(names.join(", ")),
        text(image, "/digest").chars().take(DIGEST_CHARS).collect(),
        bytes(integer(image, "/bytes")),
        list(image, "/holders").len().to_string(),
    ]
}
