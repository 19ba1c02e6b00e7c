//! Placement constraints: `[field, OPERATOR, value]`.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use regex::Regex;

/// Where a task is or could be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub agent_id: String,
    pub host: String,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

impl Site {
    pub fn value(&self, field: &str) -> Option<&str> {
        match field {
            "hostname" | "@hostname" => Some(&self.host),
            "@region" => self.region.as_deref(),
            "@zone" => self.zone.as_deref(),
            attribute => self.attributes.get(attribute).map(String::as_str),
        }
    }
}

/// A constraint that can be evaluated.
#[derive(Clone, Debug)]
pub struct Constraint {
    pub field: String,
    operator: Operator,
}

#[derive(Clone, Debug)]
enum Operator {
    Unique,
    Cluster(Option<String>),
    GroupBy(usize),
    MaxPer(usize),
    Like(Regex),
    Unlike(Regex),
    Is(String),
}

/// Why a constraint cannot be evaluated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("must hold a field, a known operator and the value it needs")]
    Form,
    #[error("the regular expression is not valid: {0}")]
    Regex(#[from] regex::Error),
}

impl Constraint {
    pub fn parse(parts: &[String]) -> Result<Self, Error> {
        let (field, operator) = match parts {
            [field, operator, ..] => (field.clone(), operator.as_str()),
            _ => return Err(Error::Form),
        };
        let value = parts.get(2).filter(|value| !value.is_empty());
        let number = || value.and_then(|value| value.parse().ok());
        // The whole value has to match.
        let regex = || Regex::new(&format!("^(?:{})$", value.map_or("", String::as_str)));
        let operator = match operator {
            "UNIQUE" => Operator::Unique,
            "CLUSTER" => Operator::Cluster(value.cloned()),
            "GROUP_BY" => Operator::GroupBy(number().unwrap_or_default()),
            "MAX_PER" => Operator::MaxPer(number().ok_or(Error::Form)?),
            "LIKE" => Operator::Like(regex()?),
            "UNLIKE" => Operator::Unlike(regex()?),
            "IS" => Operator::Is(value.cloned().unwrap_or_default()),
            _ => return Err(Error::Form),
        };
        Ok(Self { field, operator })
    }

    pub const fn is_group_by(&self) -> bool {
        matches!(self.operator, Operator::GroupBy(_))
    }

    /// Whether one more task may go to `site`, with the app's tasks being at
    /// `neighbours` and `known` being all sites that are on offer.
    pub fn admits(&self, site: &Site, neighbours: &[Site], known: &[Site]) -> bool {
        let value = site.value(&self.field);
        let Some(value) = value else { return matches!(self.operator, Operator::Unlike(_)) };
        let taken = || neighbours.iter().filter_map(|neighbour| neighbour.value(&self.field));
        let at = |wanted: &str| taken().filter(|one| *one == wanted).count();
        match &self.operator {
            Operator::Unique => at(value) == 0,
            Operator::Cluster(Some(wanted)) => value == wanted,
            Operator::Cluster(None) => taken().all(|one| one == value),
            Operator::MaxPer(max) => at(value) < *max,
            Operator::Like(regex) => regex.is_match(value),
            Operator::Unlike(regex) => !regex.is_match(value),
            Operator::Is(wanted) => is(value, wanted),
            Operator::GroupBy(expected) => {
                let offered = known.iter().filter_map(|site| site.value(&self.field));
                let mut groups: BTreeMap<&str, usize> = offered.map(|group| (group, 0)).collect();
                for group in taken() {
                    *groups.entry(group).or_default() += 1;
                }
                // Groups that are promised but were never seen are empty.
                let unseen = groups.len() < *expected;
                let fewest =
                    if unseen { 0 } else { groups.values().copied().min().unwrap_or_default() };
                at(value) <= fewest
            }
        }
    }
}

/// The same text, or the same amount at three decimals.
fn is(value: &str, wanted: &str) -> bool {
    let amount = |text: &str| text.parse::<karman_model::quantity::Quantity>().ok();
    value == wanted || amount(value).is_some_and(|value| amount(wanted) == Some(value))
}
