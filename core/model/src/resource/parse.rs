//! The text form of resources: `cpus:4;mem:1024;ports(web):[31000-32000]`.
#![deny(clippy::disallowed_methods)]

use super::{Kind, Reservation, ReservationType, Resource, Resources, Value};
use crate::quantity::{self, Quantity};
use crate::ranges::{self, Ranges};
use crate::role;

/// What is wrong with the text of resources, and at which name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'{0}' must be written like name:value, for example cpus:4")]
    Syntax(String),
    #[error("the value of '{name}'")]
    Amount { name: String, source: quantity::Error },
    #[error("the value of '{name}' must not be negative")]
    Negative { name: String },
    #[error("the value of '{name}'")]
    Ranges { name: String, source: ranges::Error },
    #[error("'{name}' must be {expected}")]
    Shape { name: String, expected: &'static str },
    #[error("'{name}' is given twice")]
    Twice { name: String },
    #[error("the role of '{name}'")]
    Role { name: String, source: role::Error },
}

impl Resources {
    /// Reads `cpus:4;mem:1024;disk(web):1000;ports:[31000-32000];zones:{a,b}`.
    /// Entries without a role of their own are reserved to `default_role`, which
    /// is `*` for nobody.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, Error> {
        let mut all = Self::EMPTY;
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let resource = entry_of(entry, default_role)?;
            if all.iter().any(|other| other.kind == resource.kind) {
                return Err(Error::Twice { name: resource.kind.name.to_string() });
            }
            all.insert(resource);
        }
        Ok(all)
    }
}

fn entry_of(entry: &str, default_role: &str) -> Result<Resource, Error> {
    let syntax = || Error::Syntax(entry.to_owned());
    let (head, value) = entry.split_once(':').ok_or_else(syntax)?;
    let (name, owner) = match head.trim().split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(syntax)?.trim()),
        None => (head.trim(), default_role),
    };
    if name.is_empty() {
        return Err(syntax());
    }
    role::check(owner).map_err(|source| Error::Role { name: name.to_owned(), source })?;
    let mut kind = Kind::named(name);
    if owner != role::ANY {
        kind.reservations.push(Reservation {
            kind: ReservationType::Static,
            role: owner.into(),
            principal: None,
            labels: Vec::new(),
        });
    }
    let value = value_of(name, value.trim())?;
    shape_of(name, &value)?;
    Ok(Resource { kind, value })
}

fn value_of(name: &str, text: &str) -> Result<Value, Error> {
    if text.starts_with('[') {
        return Ranges::parse(text)
            .map(Value::Ranges)
            .map_err(|source| Error::Ranges { name: name.to_owned(), source });
    }
    if let Some(items) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Ok(Value::Set(items.map(str::to_owned).collect()));
    }
    let amount: Quantity =
        text.parse().map_err(|source| Error::Amount { name: name.to_owned(), source })?;
    if amount.is_negative() {
        return Err(Error::Negative { name: name.to_owned() });
    }
    Ok(Value::Scalar(amount))
}

/// The names that everybody knows have one right shape.
fn shape_of(name: &str, value: &Value) -> Result<(), Error> {
    let expected = match (name, value) {
        ("cpus" | "mem" | "disk" | "gpus", Value::Ranges(_) | Value::Set(_)) => "a number",
        ("ports", Value::Scalar(_) | Value::Set(_)) => "ranges, for example [31000-32000]",
        _ => return Ok(()),
    };
    Err(Error::Shape { name: name.to_owned(), expected })
}
