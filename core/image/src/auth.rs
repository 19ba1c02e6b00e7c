//! What is shown to registries: names, passwords and tokens, and Docker's file
//! of them. Pure.
#![deny(clippy::disallowed_methods)]

pub(crate) mod challenge;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A larger file is not a list of passwords.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// Under which Docker keeps what is shown to its own registry.
const DOCKER_KEYS: [&str; 4] =
    ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Credentials by registry. Without any, registries are asked as by a stranger.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Auth {
    /// By host and port, and perhaps the beginning of the repository's name.
    registries: BTreeMap<String, Credentials>,
}

/// Shown to one registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// Turned into a token by the registry's token server.
    Identity {
        token: String,
    },
    /// Shown as it is.
    Bearer {
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user}, ***)"),
            Self::Identity { .. } => f.write_str("Identity(***)"),
            Self::Bearer { .. } => f.write_str("Bearer(***)"),
        }
    }
}

/// Why a file of credentials is of no use. Never quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the docker config is larger than {} KiB", CONFIG_BYTES_MAX >> 10)]
    TooLarge,
    #[error(
        "the docker config is not understood (line {line}, column {column}); \
         write {{\"auths\": {{\"registry\": {{\"auth\": …}}}}}}"
    )]
    Syntax { line: usize, column: usize },
    #[error("the docker config's 'auth' for '{registry}' is not base64 of 'user:password'")]
    Basic { registry: String },
}

#[derive(Deserialize)]
struct File {
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Auth {
    /// Shows a name and a password to one registry.
    #[must_use]
    pub fn with_password(mut self, registry: &str, user: &str, password: &str) -> Self {
        let credentials =
            Credentials::Password { user: user.to_owned(), password: password.to_owned() };
        self.registries.insert(normal(registry), credentials);
        self
    }

    /// Reads `config.json` of Docker, or the older `.dockercfg` that is its
    /// inner part. Entries whose secret lies in a helper program are left out.
    pub fn from_docker_config(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        // The parser's own words may quote a password.
        let unclear =
            |error: serde_json::Error| Error::Syntax { line: error.line(), column: error.column() };
        let File { auths } = serde_json::from_slice(bytes).map_err(unclear)?;
        let entries = match auths {
            Some(auths) => auths,
            None => serde_json::from_slice(bytes).unwrap_or_default(),
        };
        let mut registries = BTreeMap::new();
        for (registry, entry) in entries {
            if let Some(credentials) = entry.read(&registry)? {
                registries.insert(normal(&registry), credentials);
            }
        }
        Ok(Self { registries })
    }

    /// Takes what is missing here from `other`.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (registry, credentials) in &other.registries {
            self.registries.entry(registry.clone()).or_insert_with(|| credentials.clone());
        }
        self
    }

    /// What the registry at `host` is shown for a repository: the entry with
    /// the longest beginning of its name.
    pub(crate) fn find(&self, host: &str, repository: &str) -> Option<&Credentials> {
        let mut key = format!("{}/{repository}", normal(host));
        loop {
            if let Some(found) = self.registries.get(&key) {
                return Some(found);
            }
            key.truncate(key.rfind('/')?);
        }
    }
}

impl Entry {
    fn read(self, registry: &str) -> Result<Option<Credentials>, Error> {
        let Self { auth, username, password, identitytoken, registrytoken } = self;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = filled(identitytoken) {
            return Ok(Some(Credentials::Identity { token }));
        }
        if let Some(token) = filled(registrytoken) {
            return Ok(Some(Credentials::Bearer { token }));
        }
        if let (Some(user), Some(password)) = (filled(username), filled(password)) {
            return Ok(Some(Credentials::Password { user, password }));
        }
        let Some(auth) = filled(auth) else { return Ok(None) };
        let decoded = || {
            let bytes = STANDARD.decode(auth.trim()).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (user, password) = text.trim_end_matches('\0').split_once(':')?;
            let (user, password) = (user.to_owned(), password.to_owned());
            // A user that is no user says that the password is a token.
            Some(if user == "<token>" || user == "00000000-0000-0000-0000-000000000000" {
                Credentials::Identity { token: password }
            } else {
                Credentials::Password { user, password }
            })
        };
        decoded().map(Some).ok_or_else(|| Error::Basic { registry: registry.to_owned() })
    }
}

/// `https://index.docker.io/v1/` is `docker.io`.
fn normal(registry: &str) -> String {
    let bare = registry
        .strip_prefix("https://")
        .or_else(|| registry.strip_prefix("http://"))
        .unwrap_or(registry);
    let bare = bare.trim_end_matches('/').to_ascii_lowercase();
    let bare = ["/v1", "/v2"].iter().find_map(|suffix| bare.strip_suffix(suffix)).unwrap_or(&bare);
    let (host, rest) = match bare.split_once('/') {
        Some((host, rest)) => (host, format!("/{rest}")),
        None => (bare, String::new()),
    };
    let host = if DOCKER_KEYS.contains(&host) { "docker.io" } else { host };
    format!("{host}{rest}")
}

#[cfg(test)]
mod tests;
