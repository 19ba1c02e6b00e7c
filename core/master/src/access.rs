//! Who may call, where an admin wants to know: principals with their secrets,
//! and the doors at which they are asked for.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;

use serde::Deserialize;

/// At which doors callers must say who they are; by default at none.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub credentials: Credentials,
    /// Reads: `/state`, `/metrics/snapshot` and their like.
    pub readonly: bool,
    /// The operator API and everything that changes something.
    pub readwrite: bool,
    /// The scheduler API.
    pub frameworks: bool,
}

impl Access {
    /// Whether anybody is asked anywhere.
    pub const fn asks(&self) -> bool {
        self.readonly || self.readwrite || self.frameworks
    }

    /// The same credentials at every door.
    pub fn everywhere(credentials: Credentials) -> Self {
        Self { credentials, readonly: true, readwrite: true, frameworks: true }
    }
}

/// Secrets by principal.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

/// Why a file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the credentials are not JSON of the form {FORM}")]
    Json(#[source] serde_json::Error),
    #[error("line {0} of the credentials must be a principal, a space and a secret")]
    Line(usize),
    #[error("a principal must not be empty or contain a colon, unlike '{0}'")]
    Principal(String),
    #[error("the secret of '{0}' must not be empty")]
    Secret(String),
    #[error("the credentials name '{0}' twice")]
    Twice(String),
}

const FORM: &str = r#"{"credentials": [{"principal": "…", "secret": "…"}]}"#;

#[derive(Deserialize)]
struct File {
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    principal: String,
    secret: String,
}

impl Credentials {
    /// JSON as Mesos has it, or lines of a principal and a secret.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let credentials = if text.trim_start().starts_with('{') {
            serde_json::from_str::<File>(text).map_err(Error::Json)?.credentials
        } else {
            lines(text)?
        };
        let mut secrets = BTreeMap::new();
        for Credential { principal, secret } in credentials {
            if principal.is_empty() || principal.contains(':') {
                return Err(Error::Principal(principal));
            }
            if secret.is_empty() {
                return Err(Error::Secret(principal));
            }
            if secrets.contains_key(&principal) {
                return Err(Error::Twice(principal));
            }
            secrets.insert(principal, secret);
        }
        Ok(Self(secrets))
    }

    /// With one more, or another secret for one that is there.
    #[must_use]
    pub fn with(mut self, principal: &str, secret: &str) -> Self {
        self.0.insert(principal.to_owned(), secret.to_owned());
        self
    }

    pub fn has(&self, principal: &str) -> bool {
        self.0.contains_key(principal)
    }

    /// Whether this is the secret of the principal, in a time that does not tell
    /// how much of it was right.
    pub fn are(&self, principal: &str, secret: &str) -> bool {
        let known = self.0.get(principal);
        let expected = known.map_or("", String::as_str);
        is_same(expected.as_bytes(), secret.as_bytes()) && known.is_some()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|principal| (principal, "***"))).finish()
    }
}

fn lines(text: &str) -> Result<Vec<Credential>, Error> {
    let mut credentials = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (principal, secret) =
            line.split_once(char::is_whitespace).ok_or(Error::Line(number))?;
        let credential =
            Credential { principal: principal.to_owned(), secret: secret.trim().to_owned() };
        credentials.push(credential);
    }
    Ok(credentials)
}

/// Looks at every byte that was shown, whatever is expected.
fn is_same(expected: &[u8], shown: &[u8]) -> bool {
    let mut difference = u8::from(expected.len() != shown.len());
    for (at, byte) in shown.iter().enumerate() {
        let wanted = expected.get(at).copied().unwrap_or_default();
        difference = black_box(difference | (wanted ^ byte));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_in_both_forms() {
        let json = r#"{"credentials": [{"principal": "a", "secret": "x y"}, {"principal": "b", "secret": "z"}]}"#;
        for text in [json, "\na x y\n\n  b\tz \n"] {
            let credentials = Credentials::parse(text).unwrap();
            assert!(credentials.are("a", "x y") && credentials.are("b", "z"), "{text}");
            for (principal, secret) in [("a", "x"), ("a", ""), ("a", "x yz"), ("c", ""), ("", "")] {
                assert!(!credentials.are(principal, secret), "{principal} {secret}");
            }
            assert_eq!(format!("{credentials:?}"), r#"{"a": "***", "b": "***"}"#);
        }
        assert!(!Credentials::parse("").unwrap().are("", ""));
    }

    #[test]
    fn unusable_credentials_are_refused() {
        let error = |text: &str| Credentials::parse(text).unwrap_err().to_string();
        assert!(error("{").contains("JSON"));
        assert!(error("a x\nb").contains("line 2"));
        assert!(error("a:b x").contains("a:b"));
        assert!(error(r#"{"credentials": [{"principal": "a", "secret": ""}]}"#).contains("empty"));
        assert!(error("a x\na y").contains("twice"));
    }
}
