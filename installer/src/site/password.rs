//! Passwords that are made up, and hashes of passwords.

use anyhow::{Context as _, bail};
use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;

const RANDOM_BYTES: usize = 18;
/// As the gateway demands of passwords.
const PASSWORD_CHARS_MIN: usize = 5;
const PASSWORD_BYTES_MAX: usize = 1024;

/// 24 letters that nobody guesses.
pub fn made_up() -> anyhow::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    let random = ring::rand::SystemRandom::new();
    random.fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The argon2id hash of a password.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        bail!(
            "a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        );
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).ok().context("the password could not be hashed")
}
