//! Password hashes: argon2id, off the async threads.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// The hash of a password that nobody knows, for users that do not exist.
pub const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$h1nnkXkGWlTlDCDtdR1Oc8uUqYNRBDmG8eCsmNYlJWs";

const PASSWORD_CHARS_MIN: usize = 5;
/// Longer input only costs time.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Why a password cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
    )]
    Length,
    #[error("the hash is not an argon2 hash in PHC form ($argon2id$v=19$...)")]
    Form,
    #[error("the password could not be hashed")]
    Hashing,
}

pub async fn hash(password: String) -> Result<String, Error> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::Length);
    }
    let hashing =
        move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
    match tokio::task::spawn_blocking(hashing).await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(_)) | Err(_) => Err(Error::Hashing),
    }
}

/// Whether `password` is the one that `hash` was made of.
pub async fn verify(password: String, hash: String) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let verifying = move || {
        let Ok(hash) = PasswordHash::new(&hash) else { return false };
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    };
    tokio::task::spawn_blocking(verifying).await.unwrap_or(false)
}

pub fn check_hash(hash: &str) -> Result<(), Error> {
    match PasswordHash::new(hash) {
        Ok(parsed) if parsed.algorithm.as_str().starts_with("argon2") => Ok(()),
        Ok(_) | Err(_) => Err(Error::Form),
    }
}
