//! A user, as stored and as shown.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const UID_BYTES_MAX: usize = 96;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: String,
    pub description: String,
    /// In PHC form.
    pub password_hash: String,
}

/// What the store holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Stored {
    V1(User),
}

/// Why a user id cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a user id is 1 to {UID_BYTES_MAX} letters, digits and the signs - _ @ .")]
    Letters,
    #[error("the user id 'anonymous' is reserved")]
    Reserved,
}

pub fn decode(value: &[u8]) -> Result<User, serde_json::Error> {
    let Stored::V1(user) = serde_json::from_slice(value)?;
    Ok(user)
}

pub fn check_uid(uid: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@.".contains(&byte);
    if uid.is_empty() || uid.len() > UID_BYTES_MAX || !uid.bytes().all(allowed) {
        return Err(Error::Letters);
    }
    if uid == "anonymous" { Err(Error::Reserved) } else { Ok(()) }
}

/// The user as the API shows it.
pub fn shown(user: &User) -> Value {
    let User { uid, description, password_hash: _ } = user;
    json!({
        "uid": uid,
        "url": format!("/acs/api/v1/users/{uid}"),
        "description": description,
        "is_remote": false,
        "is_service": false,
        "provider_type": "internal",
        "provider_id": "",
    })
}
