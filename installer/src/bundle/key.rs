//! The key that signs bundles and invitations: ed25519.

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::release::hex;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key is damaged")]
    Key,
    #[error("the signature is not by the key {key}")]
    Signature { key: String },
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// A new key as text.
    pub fn generate() -> Result<String, KeyError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        pkcs8.map(|pkcs8| hex(pkcs8.as_ref())).map_err(|ring::error::Unspecified| KeyError::Key)
    }

    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = unhex(text.trim()).ok_or(KeyError::Key)?;
        let pair = Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_rejected| KeyError::Key)?;
        Ok(Self(pair))
    }

    /// The public key, in hexadecimal digits.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// The signature, in hexadecimal digits.
    pub fn sign(&self, bytes: &[u8]) -> String {
        hex(self.0.sign(bytes).as_ref())
    }
}

/// Whether bytes were signed by whoever has the private part of `key`.
pub fn verify(key: &str, bytes: &[u8], signature: &str) -> Result<(), KeyError> {
    let (public, signature) = (unhex(key).ok_or(KeyError::Key)?, unhex(signature));
    let refused = || KeyError::Signature { key: key.to_owned() };
    let signature = signature.ok_or_else(refused)?;
    let verified = UnparsedPublicKey::new(&ED25519, public).verify(bytes, &signature);
    verified.map_err(|ring::error::Unspecified| refused())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
