//! Takes typed values out of a parsed configuration file and collects what is
//! wrong with them. Values of the wrong kind were already reported by the check
//! of the file's shape and read as missing here.

use std::net::{IpAddr, SocketAddr};

use karman_rt::config::Mistake;
use yaml_serde::Value;

/// A document and the mistakes found in it so far.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    document: &'a Value,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(document: &'a Value, mistakes: Vec<Mistake>) -> Self {
        Self { document, mistakes }
    }

    pub(crate) fn finish(self) -> Vec<Mistake> {
        self.mistakes
    }

    pub(crate) fn mistake(&mut self, path: &str, problem: String) {
        self.mistakes.push(Mistake { path: path.to_owned(), problem });
    }

    pub(crate) fn flag(&self, path: &str) -> Option<bool> {
        self.value(path)?.as_bool()
    }

    pub(crate) fn text(&mut self, path: &str) -> Option<String> {
        let text = scalar(self.value(path)?)?;
        if text.is_empty() {
            self.mistake(path, "must not be empty".to_owned());
            return None;
        }
        Some(text)
    }

    pub(crate) fn texts(&mut self, path: &str) -> Option<Vec<String>> {
        let items = self.value(path)?.as_sequence()?;
        let texts: Vec<String> = items.iter().filter_map(scalar).collect();
        if texts.len() < items.len() {
            self.mistake(path, "every item must be text".to_owned());
        }
        Some(texts)
    }

    pub(crate) fn number(&mut self, path: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(path)?;
        if !value.is_number() {
            return None;
        }
        match value.as_u64() {
            Some(number) => self.ranged(path, number, min, max),
            None => {
                self.mistake(path, format!("must be a whole number from {min} to {max}"));
                None
            }
        }
    }

    /// `number`, unless it is out of range.
    pub(crate) fn ranged(&mut self, path: &str, number: u64, min: u64, max: u64) -> Option<u64> {
        if (min..=max).contains(&number) {
            return Some(number);
        }
        self.mistake(path, format!("must be a whole number from {min} to {max}"));
        None
    }

    /// A text that must be there; `what` says what to write.
    pub(crate) fn needed(&mut self, path: &str, what: &str) -> Option<String> {
        if !self.has(path) {
            self.mistake(path, format!("is missing; write {what}"));
            return None;
        }
        self.text(path)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.value(path).is_some_and(|value| !value.is_null())
    }

    /// Name servers; port 53 where none is named.
    pub(crate) fn addresses(&mut self, path: &str) -> Option<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for text in self.texts(path)? {
            let address =
                text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
            match address {
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let problem =
                        format!("'{text}' is no address; write it as 192.0.2.1 or 192.0.2.1:53");
                    self.mistake(path, problem);
                }
            }
        }
        Some(addresses)
    }

    fn value(&self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.document, |value, key| value.get(key))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => None,
    }
}
