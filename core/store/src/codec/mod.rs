//! How an object lies on disk: one version byte, the revision that wrote it,
//! and its value as it is. Pages are checksummed by the engine, so there is no
//! checksum here. Pure.
#![deny(clippy::disallowed_methods)]

use crate::Revision;

/// The newest version; only this one is written. Older ones stay readable.
const V1: u8 = 1;
const HEADER_BYTES: usize = 1 + size_of::<Revision>();

/// An object as the engine stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    pub revision: Revision,
    pub value: &'a [u8],
}

/// A stored object cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the object has {bytes} bytes, fewer than its header")]
    Truncated { bytes: usize },
    #[error("the object has version {version}; this build knows versions up to {V1}")]
    Version { version: u8 },
}

pub fn encode(object: Object<'_>) -> Vec<u8> {
    let Object { revision, value } = object;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.push(V1);
    bytes.extend_from_slice(&revision.to_le_bytes());
    bytes.extend_from_slice(value);
    bytes
}

pub fn decode(bytes: &[u8]) -> Result<Object<'_>, DecodeError> {
    let truncated = DecodeError::Truncated { bytes: bytes.len() };
    let (&version, rest) = bytes.split_first().ok_or(truncated)?;
    if version != V1 {
        return Err(DecodeError::Version { version });
    }
    let (revision, value) = rest.split_first_chunk().ok_or(truncated)?;
    Ok(Object { revision: Revision::from_le_bytes(*revision), value })
}

#[cfg(test)]
mod tests;
