//! Which nodes cannot reach which. Decides only: what is to be dropped is told
//! to the bridge, so that nodes notice nothing but silence.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The table of the bridge that holds the rules.
const TABLE: &str = "karman";

/// Pairs that do not hear each other; without a second one, a node that nobody hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partitions(BTreeSet<(Ipv4Addr, Option<Ipv4Addr>)>);

impl Partitions {
    /// Cuts a node off from another one, or from all and the one who installs.
    pub(crate) fn cut(&mut self, node: Ipv4Addr, from: Option<Ipv4Addr>) {
        let pair = match from {
            Some(other) if other < node => (other, Some(node)),
            from => (node, from),
        };
        self.0.insert(pair);
    }

    /// Ends what concerns a node, or all.
    pub(crate) fn heal(&mut self, node: Option<Ipv4Addr>) {
        match node {
            Some(node) => self.0.retain(|(one, other)| *one != node && *other != Some(node)),
            None => self.0.clear(),
        }
    }

    /// Whether a node is cut off from all, from some of these, or from none.
    pub(crate) fn of(&self, node: Ipv4Addr) -> Option<Cut> {
        if self.0.contains(&(node, None)) {
            return Some(Cut::All);
        }
        let others: Vec<Ipv4Addr> = self
            .0
            .iter()
            .filter_map(|(one, other)| match other {
                Some(other) if *one == node => Some(*other),
                Some(other) if *other == node => Some(*one),
                _ => None,
            })
            .collect();
        (!others.is_empty()).then_some(Cut::From(others))
    }

    pub(crate) fn to_json(&self) -> Value {
        self.0
            .iter()
            .map(|(one, other)| json!([one.to_string(), other.map(|other| other.to_string())]))
            .collect()
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self> {
        let pair = |pair: &Value| {
            let one = pair[0].as_str()?.parse().ok()?;
            let other = match &pair[1] {
                Value::Null => None,
                other => Some(other.as_str()?.parse().ok()?),
            };
            Some((one, other))
        };
        let pairs = value.as_array().context("no list of partitions")?;
        pairs
            .iter()
            .map(|value| pair(value).with_context(|| format!("{value} is no partition")))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Commands for `nft -f` that replace whatever held before.
    pub(crate) fn rules(&self) -> String {
        let mut text = format!("table bridge {TABLE}\ndelete table bridge {TABLE}\n");
        if self.0.is_empty() {
            return text;
        }
        text.push_str(&format!("table bridge {TABLE} {{\n  chain cut {{\n"));
        for (one, other) in &self.0 {
            match other {
                Some(other) => text.push_str(&format!(
                    "    ip saddr {one} ip daddr {other} drop\n    ip saddr {other} ip daddr {one} drop\n"
                )),
                None => text.push_str(&format!("    ip saddr {one} drop\n    ip daddr {one} drop\n")),
            }
        }
        text.push_str("  }\n");
        for hook in ["input", "forward", "output"] {
            text.push_str(&format!(
                "  chain {hook} {{ type filter hook {hook} priority 0; jump cut; }}\n"
            ));
        }
        text.push_str("}\n");
        text
    }
}

/// How far a node is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    All,
    From(Vec<Ipv4Addr>),
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn node(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, last)
    }

    #[test]
    fn rules_say_who_is_not_heard() {
        let mut partitions = Partitions::default();
        partitions.cut(node(12), Some(node(11)));
        partitions.cut(node(11), Some(node(12)));
        partitions.cut(node(21), None);
        expect![[r"
            table bridge karman
            delete table bridge karman
            table bridge karman {
              chain cut {
                ip saddr 10.77.0.11 ip daddr 10.77.0.12 drop
                ip saddr 10.77.0.12 ip daddr 10.77.0.11 drop
                ip saddr 10.77.0.21 drop
                ip daddr 10.77.0.21 drop
              }
              chain input { type filter hook input priority 0; jump cut; }
              chain forward { type filter hook forward priority 0; jump cut; }
              chain output { type filter hook output priority 0; jump cut; }
            }
        "]]
        .assert_eq(&partitions.rules());
        assert_eq!(Partitions::from_json(&partitions.to_json()).unwrap(), partitions);
        assert_eq!(partitions.of(node(21)), Some(Cut::All));
        assert_eq!(partitions.of(node(12)), Some(Cut::From(vec![node(11)])));
        assert_eq!(partitions.of(node(13)), None);
    }

    #[test]
    fn healing_one_heals_what_concerns_it() {
        let mut partitions = Partitions::default();
        partitions.cut(node(11), Some(node(12)));
        partitions.cut(node(13), Some(node(11)));
        partitions.cut(node(12), Some(node(13)));
        partitions.heal(Some(node(11)));
        assert_eq!(partitions.of(node(11)), None);
        assert_eq!(partitions.of(node(12)), Some(Cut::From(vec![node(13)])));
        partitions.heal(None);
        assert_eq!(partitions, Partitions::default());
        expect![[r"
            table bridge karman
            delete table bridge karman
        "]]
        .assert_eq(&partitions.rules());
    }
}
