//! What a datacenter looks like now.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::cgroups::Hierarchies;
use super::node;
use super::partition::Cut;
use super::room::{Room, State};
use super::shape::Node;
use crate::process::print;

const ANSWER_LIMIT: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    Table,
    Json,
}

pub(crate) fn run(room: &Room, form: Form) -> Result<()> {
    let state = room.existing()?;
    let groups = Hierarchies::detect()?;
    let mut rows = Vec::new();
    for node in &state.nodes {
        let pid = node::init(room, node, &groups);
        let condition = match pid {
            None => "off",
            Some(_) if state.partitions.of(node.address) == Some(Cut::All) => "cut off",
            Some(_) if room.answers(node.address, ANSWER_LIMIT)? => "up",
            Some(_) => "booting",
        };
        rows.push(Row { node, condition, pid, cut: cut(&state, node) });
    }
    match form {
        Form::Table => print(&table(&rows)),
        Form::Json => {
            let nodes: Vec<Value> = rows.iter().map(Row::json).collect();
            print(&format!(
                "{}\n",
                json!({ "name": room.name.to_string(), "folder": room.folder, "nodes": nodes })
            ))
        }
    }
}

struct Row<'a> {
    node: &'a Node,
    condition: &'static str,
    pid: Option<i32>,
    /// The names of nodes that it does not hear.
    cut: Vec<String>,
}

impl Row<'_> {
    fn json(&self) -> Value {
        let Self { node: Node { name, role, address }, condition, pid, cut } = self;
        json!({
            "node": name, "role": role.name(), "address": address.to_string(),
            "state": condition, "pid": pid, "partitioned_from": cut,
        })
    }
}

fn cut(state: &State, node: &Node) -> Vec<String> {
    let others = state.nodes.iter().filter(|other| *other != node);
    match state.partitions.of(node.address) {
        None => Vec::new(),
        Some(Cut::All) => others.map(|other| other.name.clone()).collect(),
        Some(Cut::From(addresses)) => others
            .filter(|other| addresses.contains(&other.address))
            .map(|other| other.name.clone())
            .collect(),
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "{:<10} {:<7} {:<12} {:<8} {:<8} {}\n",
        "NODE", "ROLE", "ADDRESS", "STATE", "PID", "HEARS NOT"
    );
    for Row { node: Node { name, role, address }, condition, pid, cut } in rows {
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let (role, address, cut) = (role.name(), address.to_string(), cut.join(" "));
        let line = format!("{name:<10} {role:<7} {address:<12} {condition:<8} {pid:<8} {cut}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::datacenter::shape::Shape;

    #[test]
    fn a_table_of_nodes() {
        let nodes = Shape { masters: 1, agents: 1, public: 0, spare: 0 }.nodes().unwrap();
        let rows = [
            Row {
                node: &nodes[0],
                condition: "up",
                pid: Some(4711),
                cut: vec!["agent-1".to_owned()],
            },
            Row { node: &nodes[1], condition: "off", pid: None, cut: vec![] },
        ];
        expect![[r"
            NODE       ROLE    ADDRESS      STATE    PID      HEARS NOT
            master-1   master  10.77.0.11   up       4711     agent-1
            agent-1    agent   10.77.0.21   off      -
        "]]
        .assert_eq(&table(&rows));
    }
}
