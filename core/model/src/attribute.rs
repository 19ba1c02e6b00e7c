//! What an agent says about itself: `rack:r1;zone:a;generation:3`.
#![deny(clippy::disallowed_methods)]

use std::fmt;

use crate::quantity::Quantity;
use crate::ranges::{self, Ranges};

/// A name with a value; a name may occur more than once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    pub name: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Scalar(Quantity),
    Ranges(Ranges),
    Set(Vec<String>),
    Text(String),
}

/// The attributes of an agent, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub Vec<Attribute>);

/// What is wrong with the text of attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("'{0}' must be written like name:value, for example rack:r1")]
    Syntax(String),
    #[error("the value of '{name}'")]
    Ranges { name: String, source: ranges::Error },
}

impl Attributes {
    /// Reads `rack:r1;zone:a`. A value that is a number is an amount, `[…]` are
    /// ranges, `{…}` is a set, everything else is text and may hold colons.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Vec::new();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, value) =
                entry.split_once(':').ok_or_else(|| Error::Syntax(entry.to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || value.is_empty() {
                return Err(Error::Syntax(entry.to_owned()));
            }
            all.push(Attribute { name: name.to_owned(), value: value_of(name, value)? });
        }
        Ok(Self(all))
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.0.iter()
    }
}

fn value_of(name: &str, text: &str) -> Result<Value, Error> {
    if text.starts_with('[') {
        return Ranges::parse(text)
            .map(Value::Ranges)
            .map_err(|source| Error::Ranges { name: name.to_owned(), source });
    }
    if let Some(items) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return Ok(Value::Set(items.split(',').map(|item| item.trim().to_owned()).collect()));
    }
    Ok(text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Scalar))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(amount) => amount.fmt(f),
            Self::Ranges(ranges) => ranges.fmt(f),
            Self::Set(items) => write!(f, "{{{}}}", items.join(",")),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Attribute { name, value }) in self.0.iter().enumerate() {
            write!(f, "{}{name}:{value}", if i == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read() {
        let attributes =
            Attributes::parse("rack:r1; generation:3;url:http://x:80;ports:[1-2];os:{a,b}")
                .unwrap();
        assert_eq!(attributes.get("rack"), Some(&Value::Text("r1".into())));
        assert_eq!(attributes.get("generation"), Some(&Value::Scalar(Quantity::from_units(3))));
        assert_eq!(attributes.get("url"), Some(&Value::Text("http://x:80".into())));
        assert_eq!(
            attributes.to_string(),
            "rack:r1;generation:3;url:http://x:80;ports:[1-2];os:{a,b}"
        );
        assert_eq!(Attributes::parse(&attributes.to_string()), Ok(attributes));
    }

    #[test]
    fn mistakes_name_the_attribute() {
        assert_eq!(Attributes::parse("rack"), Err(Error::Syntax("rack".into())));
        assert_eq!(Attributes::parse("rack:"), Err(Error::Syntax("rack:".into())));
        assert!(
            matches!(Attributes::parse("p:[2-1]"), Err(Error::Ranges { name, .. }) if name == "p")
        );
    }
}
