//! Signed tokens: JWT with ES256, so that services can verify them with the
//! public key of `/acs/api/v1/auth/jwks` and nobody but the gateway can make
//! them. (DC/OS signs with RS256; its clients never look inside a token.)

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a token is valid, in seconds: five days, as in DC/OS.
pub const VALID_SECONDS: u64 = 5 * 24 * 3600;

/// A token is read only up to this length.
const TOKEN_BYTES_MAX: usize = 4096;
/// Half of an uncompressed P-256 point, without its leading 4.
const COORDINATE_BYTES: usize = 32;

/// The key that signs and verifies.
pub struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    id: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Stored {
    V1 { pkcs8: String },
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    uid: String,
    exp: u64,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the operating system gave no randomness")]
    Random,
    #[error("the stored key is damaged")]
    Damaged,
}

/// Why a token is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("it is not a token")]
    Form,
    #[error("it was not signed by this cluster")]
    Signature,
    #[error("it has expired")]
    Expired,
}

impl Signer {
    /// A new key and what to store of it.
    pub fn generate() -> Result<(Self, Bytes), KeyError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_unspecified| KeyError::Random)?;
        let stored = Stored::V1 { pkcs8: STANDARD.encode(pkcs8.as_ref()) };
        let stored = serde_json::to_vec(&stored).map_err(|_| KeyError::Damaged)?;
        Ok((Self::of(pkcs8.as_ref())?, stored.into()))
    }

    pub fn decode(stored: &[u8]) -> Result<Self, KeyError> {
        let Stored::V1 { pkcs8 } = serde_json::from_slice(stored).map_err(|_| KeyError::Damaged)?;
        Self::of(&STANDARD.decode(pkcs8).map_err(|_| KeyError::Damaged)?)
    }

    fn of(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|_rejected| KeyError::Damaged)?;
        let id =
            URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, pair.public_key().as_ref()));
        Ok(Self { pair, random, id })
    }

    /// A token for `uid` that ends [`VALID_SECONDS`] from now.
    pub fn sign(&self, uid: &str, now_seconds: u64) -> Result<String, KeyError> {
        let header = Header { alg: "ES256", typ: "JWT", kid: &self.id };
        let claims = Claims { uid: uid.to_owned(), exp: now_seconds + VALID_SECONDS };
        let part = |value: Result<Vec<u8>, _>| value.map(|json| URL_SAFE_NO_PAD.encode(json));
        let header = part(serde_json::to_vec(&header)).map_err(|_| KeyError::Damaged)?;
        let claims = part(serde_json::to_vec(&claims)).map_err(|_| KeyError::Damaged)?;
        let message = format!("{header}.{claims}");
        let signature = self
            .pair
            .sign(&self.random, message.as_bytes())
            .map_err(|_unspecified| KeyError::Random)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// The user that a token names.
    pub fn verify(&self, token: &str, now_seconds: u64) -> Result<String, Invalid> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Invalid::Form);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Invalid::Form)?;
        let (header, claims) = message.split_once('.').ok_or(Invalid::Form)?;
        let open = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Form);
        let (header, claims, signature) = (open(header)?, open(claims)?, open(signature)?);
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| Invalid::Form)?;
        if header.alg != "ES256" {
            return Err(Invalid::Signature);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .map_err(|_unspecified| Invalid::Signature)?;
        let Claims { uid, exp } = serde_json::from_slice(&claims).map_err(|_| Invalid::Form)?;
        if now_seconds < exp { Ok(uid) } else { Err(Invalid::Expired) }
    }

    /// The public key as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .unwrap_or_default()
            .split_at_checked(COORDINATE_BYTES)
            .unwrap_or_default();
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({ "keys": [
            { "kid": self.id, "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig" },
        ]})
    }
}
