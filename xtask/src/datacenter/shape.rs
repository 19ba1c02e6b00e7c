//! Which nodes a datacenter has, and what they are called. Decides only.

use std::fmt;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// Of the namespace itself: the machine of the one who installs.
pub(crate) const ADMIN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const PREFIX_LENGTH: u8 = 24;

/// Nodes of a role: their addresses lie ten apart.
const NODES_MAX: u8 = 9;
/// Names become parts of the names of machines, which Linux limits.
const NAME_MAX: usize = 24;

/// What a node is meant for. A spare one is prepared, and in no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Master,
    Agent,
    Public,
    Spare,
}

impl Role {
    const ALL: [Self; 4] = [Self::Master, Self::Agent, Self::Public, Self::Spare];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Agent => "agent",
            Self::Public => "public",
            Self::Spare => "spare",
        }
    }

    /// The last part of the address before its first node's.
    fn base(self) -> u8 {
        match self {
            Self::Master => 10,
            Self::Agent => 20,
            Self::Public => 30,
            Self::Spare => 40,
        }
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub name: String,
    pub role: Role,
    pub address: Ipv4Addr,
}

/// How many of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Shape {
    /// Nodes for masters: 1, 3 or 5
    #[arg(long, default_value_t = 3)]
    pub masters: u8,
    /// Nodes for agents
    #[arg(long, default_value_t = 2)]
    pub agents: u8,
    /// Nodes for public agents
    #[arg(long, default_value_t = 1)]
    pub public: u8,
    /// Nodes that are prepared but not in the configuration, to be added later
    #[arg(long, default_value_t = 0)]
    pub spare: u8,
}

impl Shape {
    /// All nodes, in order.
    pub(crate) fn nodes(self) -> Result<Vec<Node>> {
        ensure!(
            matches!(self.masters, 1 | 3 | 5),
            "--masters {}: a cluster has 1, 3 or 5",
            self.masters
        );
        let mut nodes = Vec::new();
        for role in Role::ALL {
            let count = match role {
                Role::Master => self.masters,
                Role::Agent => self.agents,
                Role::Public => self.public,
                Role::Spare => self.spare,
            };
            ensure!(
                count <= NODES_MAX,
                "{count} {} nodes are more than {NODES_MAX}, for which there are addresses",
                role.name()
            );
            nodes.extend((1..=count).map(|number| Node {
                name: format!("{}-{number}", role.name()),
                role,
                address: Ipv4Addr::new(10, 77, 0, role.base() + number),
            }));
        }
        Ok(nodes)
    }
}

/// The name of a datacenter: letters, digits and dashes, so that it can be part of other names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fits = (1..=NAME_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric());
        if !fits {
            bail!(
                "'{text}' is no name of a datacenter: use up to {NAME_MAX} small letters, digits and dashes"
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As it is kept in a file.
pub(crate) fn to_json(nodes: &[Node]) -> Value {
    nodes
        .iter()
        .map(|Node { name, role, address }| {
            json!({ "name": name, "role": role.name(), "address": address.to_string() })
        })
        .collect()
}

pub(crate) fn from_json(value: &Value) -> Result<Vec<Node>> {
    let nodes = value.as_array().context("no list of nodes")?;
    nodes
        .iter()
        .map(|node| from_json_node(node).with_context(|| format!("{node} is no node")))
        .collect()
}

fn from_json_node(node: &Value) -> Option<Node> {
    let role = node["role"].as_str()?;
    Some(Node {
        name: node["name"].as_str()?.to_owned(),
        role: Role::ALL.into_iter().find(|known| known.name() == role)?,
        address: node["address"].as_str()?.parse().ok()?,
    })
}

/// The configuration that the installer needs for these nodes; its key lies beside it.
pub(crate) fn config(name: &Name, nodes: &[Node], key: &str) -> String {
    let mut text = format!(
        "# The nodes of the datacenter '{name}' that `cargo xtask datacenter up` made.\ncluster_name: {name}\n"
    );
    for (list, role) in [
        ("master_list", Role::Master),
        ("agent_list", Role::Agent),
        ("public_agent_list", Role::Public),
    ] {
        let addresses: Vec<&Ipv4Addr> =
            nodes.iter().filter(|node| node.role == role).map(|node| &node.address).collect();
        if !addresses.is_empty() {
            text.push_str(&format!("{list}:\n"));
        }
        for address in addresses {
            text.push_str(&format!("  - {address}\n"));
        }
    }
    text.push_str(&format!("ssh_user: root\nssh_port: 22\nssh_key_path: {key}\n"));
    text
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(shape: Shape, expected: &Expect) {
        let nodes = shape.nodes().unwrap();
        assert_eq!(from_json(&to_json(&nodes)).unwrap(), nodes);
        expected.assert_eq(&config(&Name::parse("try").unwrap(), &nodes, "id_ed25519"));
    }

    #[test]
    fn configurations() {
        check(
            Shape { masters: 3, agents: 2, public: 1, spare: 1 },
            &expect![[r"
                # The nodes of the datacenter 'try' that `cargo xtask datacenter up` made.
                cluster_name: try
                master_list:
                  - 10.77.0.11
                  - 10.77.0.12
                  - 10.77.0.13
                agent_list:
                  - 10.77.0.21
                  - 10.77.0.22
                public_agent_list:
                  - 10.77.0.31
                ssh_user: root
                ssh_port: 22
                ssh_key_path: id_ed25519
            "]],
        );
        check(
            Shape { masters: 1, agents: 0, public: 0, spare: 0 },
            &expect![[r"
                # The nodes of the datacenter 'try' that `cargo xtask datacenter up` made.
                cluster_name: try
                master_list:
                  - 10.77.0.11
                ssh_user: root
                ssh_port: 22
                ssh_key_path: id_ed25519
            "]],
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let error = |shape: Shape| shape.nodes().unwrap_err().to_string();
        let shape = Shape { masters: 3, agents: 2, public: 1, spare: 0 };
        assert_eq!(error(Shape { masters: 2, ..shape }), "--masters 2: a cluster has 1, 3 or 5");
        assert_eq!(
            error(Shape { agents: 10, ..shape }),
            "10 agent nodes are more than 9, for which there are addresses"
        );
        for name in ["", "a b", "A", "-a", "a-", "../a", &"a".repeat(25)] {
            assert!(Name::parse(name).is_err(), "{name}");
        }
    }
}
