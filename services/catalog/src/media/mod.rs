//! Media types as the Cosmos API names its requests and answers, and which
//! offered one satisfies an `Accept`. Pure.
//!
//! A type is compared with its parameters: `version=v1` is the version of the
//! call. Clients look for the very text they asked for in the answer, so the
//! order of parameters and the absence of blanks are part of the protocol.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;

/// `type/subtype;parameter=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `application/vnd.dcos.package.list-request+json`, lower-case.
    pub essence: String,
    pub parameters: BTreeMap<String, String>,
}

/// A text that is no media type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a media type")]
pub struct ParseError {
    pub text: String,
}

/// One element of an `Accept` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub media: MediaType,
    /// The preference in thousandths; 0 excludes.
    pub quality: u16,
}

impl MediaType {
    /// `application/vnd.dcos.<name>+json;charset=utf-8;version=v<version>`.
    pub fn dcos(name: &str, version: u8) -> Self {
        let parameters = [("charset", "utf-8".to_owned()), ("version", format!("v{version}"))];
        Self {
            essence: format!("application/vnd.dcos.{name}+json"),
            parameters: parameters
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse(text).map(|wanted| wanted.media)
    }

    /// Whether `other` is the same type and has every parameter of this one.
    pub fn is_satisfied_by(&self, other: &Self) -> bool {
        self.essence == other.essence
            && self.parameters.iter().all(|(name, value)| other.parameters.get(name) == Some(value))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        self.parameters.iter().try_for_each(|(name, value)| write!(f, ";{name}={value}"))
    }
}

/// The elements of an `Accept` header in their order. An element without
/// parameters has those of the next that has some.
pub fn parse_accept(text: &str) -> Result<Vec<Wanted>, ParseError> {
    let mut wanted = text.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut following = BTreeMap::new();
    for Wanted { media, quality: _ } in wanted.iter_mut().rev() {
        if media.parameters.is_empty() {
            media.parameters.clone_from(&following);
        } else {
            following.clone_from(&media.parameters);
        }
    }
    Ok(wanted)
}

/// The offered type that is wanted most. Among those wanted equally, the one
/// with the higher text, hence the newer version, wins.
pub fn choose<'a>(wanted: &[Wanted], offered: &'a [MediaType]) -> Option<&'a MediaType> {
    let quality = |offer: &MediaType| {
        let matching = wanted.iter().filter(|wanted| wanted.media.is_satisfied_by(offer));
        matching.map(|wanted| wanted.quality).max()
    };
    let candidates = offered.iter().filter_map(|offer| Some((quality(offer)?, offer)));
    candidates
        .filter(|(quality, _)| *quality > 0)
        .max_by_key(|(quality, offer)| (*quality, offer.to_string()))
        .map(|(_, offer)| offer)
}

fn parse(text: &str) -> Result<Wanted, ParseError> {
    let error = || ParseError { text: text.trim().to_owned() };
    let mut parts = text.split(';').map(str::trim);
    let essence =
        parts.next().filter(|essence| is_essence(essence)).ok_or_else(error)?.to_ascii_lowercase();
    let mut parameters = BTreeMap::new();
    let mut quality = 1000;
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(error)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        if name == "q" {
            quality = thousandths(value).ok_or_else(error)?;
        } else {
            parameters.insert(name, value.to_owned());
        }
    }
    Ok(Wanted { media: MediaType { essence, parameters }, quality })
}

fn is_essence(text: &str) -> bool {
    let is_token = |token: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-*".contains(&byte);
        !token.is_empty() && token.bytes().all(allowed)
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// `0.25` as 250.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok()?;
    let part: u16 =
        if part.len() <= 3 { format!("{part:0<3}").parse().ok()? } else { return None };
    whole.checked_mul(1000)?.checked_add(part).filter(|quality| *quality <= 1000)
}

#[cfg(test)]
mod tests;
