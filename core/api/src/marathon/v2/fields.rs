//! Reads JSON objects by hand, so that every mistake is reported at once and
//! with its path; serde stops at the first.
#![deny(clippy::disallowed_methods)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::Invalid;

/// An object at a path of the body. `null` is the same as absent.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    invalid: &'a RefCell<Invalid>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        map: &'a Map<String, Value>,
        path: impl Into<String>,
        invalid: &'a RefCell<Invalid>,
    ) -> Self {
        Self { map, path: path.into(), invalid }
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    /// Reports a value that breaks a rule.
    pub(super) fn rule(&self, key: &str, error: impl Into<String>) {
        let path = if key.is_empty() { self.path.clone() } else { self.path(key) };
        self.invalid.borrow_mut().rule(path, error);
    }

    fn shape(&self, path: String, error: &str) {
        self.invalid.borrow_mut().shape(path, error);
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// There, and not an empty list, object or text.
    pub(super) fn is_filled(&self, key: &str) -> bool {
        match self.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Bool(_) | Value::Number(_)) => true,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        let value = self.get(key)?;
        if let Value::String(text) = value {
            return Some(text.clone());
        }
        self.shape(self.path(key), "must be a text");
        None
    }

    /// A text of 1 to `max` characters.
    pub(super) fn filled_text(&self, key: &str, max: usize) -> Option<String> {
        let text = self.text(key)?;
        match text.chars().count() {
            0 => self.rule(key, "must not be empty"),
            n if n > max => self.rule(key, format!("must not be longer than {max} characters")),
            _ => {}
        }
        Some(text)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        if let Value::Bool(flag) = value {
            return Some(*flag);
        }
        self.shape(self.path(key), "must be true or false");
        None
    }

    pub(super) fn number(&self, key: &str, min: f64, max: f64) -> Option<f64> {
        let value = self.get(key)?;
        let Some(number) = value.as_f64() else {
            self.shape(self.path(key), "must be a number");
            return None;
        };
        if number < min {
            self.rule(key, format!("must be at least {min}"));
        } else if number > max {
            self.rule(key, format!("must be at most {max}"));
        }
        Some(number)
    }

    pub(super) fn integer(&self, key: &str, min: u32, max: u32) -> Option<u32> {
        let value = self.get(key)?;
        self.whole(self.path(key), value, min, max)
    }

    pub(super) fn port(&self, key: &str) -> Option<u16> {
        self.integer(key, 0, u32::from(u16::MAX))
            .map(|port| u16::try_from(port).unwrap_or_default())
    }

    /// A list of port numbers.
    pub(super) fn ports(&self, key: &str) -> Option<Vec<u16>> {
        let items = self.list(key)?;
        let port = |(i, value)| self.whole(format!("{}({i})", self.path(key)), value, 0, 65535);
        let ports = items.iter().enumerate().filter_map(port);
        Some(ports.map(|port| u16::try_from(port).unwrap_or_default()).collect())
    }

    fn whole(&self, path: String, value: &Value, min: u32, max: u32) -> Option<u32> {
        // 3.0 is as good as 3: some clients know no integers.
        let number = value.as_f64().filter(|number| number.fract() == 0.0);
        let Some(number) = number else {
            self.shape(path, "must be a whole number");
            return None;
        };
        if number < f64::from(min) {
            self.invalid.borrow_mut().rule(path, format!("must be at least {min}"));
            return Some(min);
        }
        if number > f64::from(max) {
            self.invalid.borrow_mut().rule(path, format!("must be at most {max}"));
            return Some(max);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds were checked above"
        )]
        Some(number as u32)
    }

    pub(super) fn list(&self, key: &str) -> Option<&'a [Value]> {
        let value = self.get(key)?;
        if let Value::Array(items) = value {
            return Some(items);
        }
        self.shape(self.path(key), "must be a list");
        None
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        Some(self.texts_in(&self.path(key), items))
    }

    pub(super) fn texts_in(&self, path: &str, items: &[Value]) -> Vec<String> {
        let mut texts = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                _ => self.shape(format!("{path}({i})"), "must be a text"),
            }
        }
        texts
    }

    pub(super) fn text_map(&self, key: &str) -> Option<BTreeMap<String, String>> {
        let object = self.object(key)?;
        let mut texts = BTreeMap::new();
        for (name, value) in object.map {
            match value {
                Value::String(text) => drop(texts.insert(name.clone(), text.clone())),
                Value::Object(map) if map.contains_key("secret") => {
                    object.rule(name, "refers to a secret, but the feature secrets is not enabled");
                }
                _ => self.shape(object.path(name), "must be a text"),
            }
        }
        Some(texts)
    }

    pub(super) fn object(&self, key: &str) -> Option<Self> {
        let value = self.get(key)?;
        if let Value::Object(map) = value {
            return Some(Self::new(map, self.path(key), self.invalid));
        }
        self.shape(self.path(key), "must be an object");
        None
    }

    pub(super) fn objects(&self, key: &str) -> Option<Vec<Self>> {
        let items = self.list(key)?;
        let mut objects = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let path = format!("{}({i})", self.path(key));
            match item {
                Value::Object(map) => objects.push(Self::new(map, path, self.invalid)),
                _ => self.shape(path, "must be an object"),
            }
        }
        Some(objects)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.rule(key, format!("must be one of {}", words.join(", ")));
        }
        found
    }
}
