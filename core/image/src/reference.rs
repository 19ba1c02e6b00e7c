//! Names of images as people write them: `nginx`, `quay.io/team/app:1.2`,
//! `localhost:5000/x@sha256:…`. Pure.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{self, Digest};

/// The registry of names that name none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Names of one part live here in that registry.
const DEFAULT_FOLDER: &str = "library";
const DEFAULT_TAG: &str = "latest";

/// Registries refuse longer names of repositories.
const REPOSITORY_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
/// A longer text is not looked at.
const TEXT_BYTES_MAX: usize = 1024;

/// Where an image is, with everything filled in that was left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the name of the image is empty")]
    Empty,
    #[error("the name of the image is longer than {TEXT_BYTES_MAX} characters")]
    TooLong,
    #[error("'{text}' names no registry: a host name and perhaps a port stand there")]
    Registry { text: String },
    #[error(
        "'{text}' is not a repository: parts of lower case letters, digits, '.', '_' and '-', \
         separated by '/', at most {REPOSITORY_BYTES_MAX} characters"
    )]
    Repository { text: String },
    #[error("'{text}' is not a tag: letters, digits, '.', '_' and '-', at most {TAG_BYTES_MAX}")]
    Tag { text: String },
    #[error(transparent)]
    Digest(#[from] digest::Error),
}

impl Reference {
    /// `docker.io` for the default one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Wins over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What to ask the registry for.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The host that answers for the registry, with its port.
    pub fn host(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { &self.registry }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(name)?;
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(check_tag(tag)?)),
            None => (rest, None),
        };
        let default = registry == DEFAULT_REGISTRY;
        let repository = if default && !repository.contains('/') && !repository.is_empty() {
            format!("{DEFAULT_FOLDER}/{repository}")
        } else {
            repository.to_owned()
        };
        if !is_repository(&repository) {
            return Err(Error::Repository { text: repository });
        }
        let tag = if digest.is_none() { Some(tag.unwrap_or(DEFAULT_TAG)) } else { tag };
        Ok(Self { registry, repository, tag: tag.map(ToOwned::to_owned), digest })
    }
}

/// The first part is a registry if it cannot be part of a repository's name.
fn split_registry(name: &str) -> Result<(String, &str), Error> {
    let first = name
        .split_once('/')
        .filter(|(first, _)| *first == "localhost" || first.contains(['.', ':']));
    let Some((registry, rest)) = first else { return Ok((DEFAULT_REGISTRY.to_owned(), name)) };
    let registry = registry.to_ascii_lowercase();
    if !is_registry(&registry) {
        return Err(Error::Registry { text: registry });
    }
    let default = matches!(registry.as_str(), "index.docker.io" | "registry-1.docker.io");
    Ok((if default { DEFAULT_REGISTRY.to_owned() } else { registry }, rest))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                return port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    host.len() <= 253 && host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Separators stand between letters and digits: one `.`, one or two `_`, any
/// number of `-`.
fn is_repository(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        let edges = part.starts_with(alphanumeric) && part.ends_with(alphanumeric);
        let mut separators = part.split(alphanumeric).filter(|text| !text.is_empty());
        edges
            && separators
                .all(|text| matches!(text, "." | "_" | "__") || text.bytes().all(|c| c == b'-'))
    };
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(part)
}

fn check_tag(text: &str) -> Result<&str, Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let right = text.len() <= TAG_BYTES_MAX
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || c == '.' || c == '-');
    if right { Ok(text) } else { Err(Error::Tag { text: text.to_owned() }) }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests;
