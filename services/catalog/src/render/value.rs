//! Options as a template sees them. Pure.
//!
//! Text is escaped for JSON, without quotes; as an element of a list it has
//! quotes. A whole number has no fraction, however large it is. A list prints
//! as JSON does. Nothing, `null`, `false`, empty text and an empty list are
//! false; 0 and an empty object are true.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Number, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Null,
    Flag(bool),
    /// As it is printed.
    Number(String),
    /// As it is printed, escaped.
    Text(String),
    List(Vec<Item>),
    Map(BTreeMap<String, Item>),
}

impl Item {
    pub(super) fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(print_number(number)),
            Value::String(text) => Self::Text(escape(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::element).collect()),
            Value::Object(members) => Self::Map(
                members.iter().map(|(name, value)| (name.clone(), Self::new(value))).collect(),
            ),
        }
    }

    fn element(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(format!("\"{}\"", escape(text))),
            other => Self::new(other),
        }
    }

    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Flag(flag) => *flag,
            Self::Number(_) | Self::Map(_) => true,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
        }
    }

    /// A member; `isEmpty` is one of texts, lists and objects, because templates
    /// use what the first engine let through of its own language.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, Self>> {
        if let Self::Map(members) = self
            && let Some(member) = members.get(name)
        {
            return Some(Cow::Borrowed(member));
        }
        let is_empty = match self {
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(_) | Self::Null | Self::Flag(_) | Self::Number(_) => return None,
        };
        (name == "isEmpty").then_some(Cow::Owned(Self::Flag(is_empty)))
    }

    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(text) | Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push_str(", ");
                    }
                    item.print(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (position, (name, item)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push_str(", ");
                    }
                    out.push_str(name);
                    out.push('=');
                    item.print(out);
                }
                out.push('}');
            }
        }
    }
}

/// Escaped for JSON, without the quotes.
fn escape(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .map(str::to_owned)
        .unwrap_or_default()
}

/// Whole numbers by all their digits, others as Java prints them: very small
/// and very large ones with an exponent.
fn print_number(number: &Number) -> String {
    const PLAIN: std::ops::Range<f64> = 1e-3..1e7;
    let Some(float) = number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) else {
        return number.to_string();
    };
    let whole = float.fract().abs() < f64::MIN_POSITIVE;
    if whole || PLAIN.contains(&float.abs()) {
        return format!("{float}");
    }
    let scientific = format!("{float:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}
