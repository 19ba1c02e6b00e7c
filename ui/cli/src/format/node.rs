//! Nodes. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::{Value, json};

use super::document::{flag, integer, number as number_at, plain, text};
use super::{number, or_dash, table};

/// The agents of a state summary, each with its address and kind.
pub fn nodes(summary: &Value) -> Vec<Value> {
    let mut nodes: Vec<Value> = super::document::list(summary, "/slaves").to_vec();
    for node in &mut nodes {
        let kind = if flag(node, "/attributes/public_ip")
            || text(node, "/attributes/public_ip") == "true"
        {
            "agent (public)"
        } else {
            "agent"
        };
        let address = address(text(node, "/pid")).to_owned();
        if let Value::Object(members) = node {
            members.insert("type".to_owned(), json!(kind));
            members.insert("ip".to_owned(), json!(address));
        }
    }
    nodes.sort_by(|a, b| {
        (text(a, "/hostname"), text(a, "/id")).cmp(&(text(b, "/hostname"), text(b, "/id")))
    });
    nodes
}

/// `slave(1)@10.0.0.1:5051` gives `10.0.0.1`.
fn address(pid: &str) -> &str {
    let address = pid.rsplit('@').next().unwrap_or_default();
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}

/// One line per node.
pub fn table_of(nodes: &[Value]) -> String {
    if nodes.is_empty() {
        return "no agent has joined\n".to_owned();
    }
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    table(
        &[
            "HOSTNAME",
            "IP",
            "TYPE",
            "STATE",
            "TASKS",
            "CPUS",
            "MEM MIB",
            "DISK MIB",
            "ATTRIBUTES",
            "ID",
        ],
        &rows,
    )
}

fn row(node: &Value) -> Vec<String> {
    vec![
        text(node, "/hostname").to_owned(),
        or_dash(text(node, "/ip")),
        text(node, "/type").to_owned(),
        state(node).to_owned(),
        tasks(node).to_string(),
        used(node, "cpus"),
        used(node, "mem"),
        used(node, "disk"),
        or_dash(attributes(node)),
        text(node, "/id").to_owned(),
    ]
}

fn state(node: &Value) -> &'static str {
    if flag(node, "/deactivated") {
        "deactivated"
    } else if node.get("active").is_some_and(|active| active == &Value::Bool(false)) {
        "disconnected"
    } else {
        "active"
    }
}

fn tasks(node: &Value) -> u64 {
    ["/TASK_STAGING", "/TASK_STARTING", "/TASK_RUNNING", "/TASK_KILLING"]
        .into_iter()
        .map(|pointer| integer(node, pointer))
        .sum()
}

fn used(node: &Value, name: &str) -> String {
    let amount = |member: &str| number(number_at(node, &format!("/{member}/{name}")));
    format!("{}/{}", amount("used_resources"), amount("resources"))
}

fn attributes(node: &Value) -> String {
    let Some(Value::Object(attributes)) = node.get("attributes") else { return String::new() };
    attributes
        .iter()
        .map(|(name, value)| format!("{name}:{}", plain(value)))
        .collect::<Vec<_>>()
        .join(";")
}
