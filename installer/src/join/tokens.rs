//! Invitations: who has one may join, in one role, for a time, so many times.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Role;
use crate::release::sha256;
use crate::site::{Site, made_up};

const FILE: &str = "tokens.json";

/// What an invitation is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub role: Role,
    pub expires: Timestamp,
    pub uses_left: u32,
    /// Hashes of the keys that were admitted: a machine that was interrupted
    /// may ask again.
    #[serde(default)]
    pub admitted: Vec<String>,
}

/// Invitations by the hash of their token: whoever reads the file has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens(BTreeMap<String, Invitation>);

/// Why a token does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not known; have another one made with `karman-installer invite`")]
    Unknown,
    #[error("the token expired at {at}; have another one made with `karman-installer invite`")]
    Expired { at: Timestamp },
    #[error("the token was used as often as it may be; have another one made")]
    Used,
    #[error("the token is for the role {}", role.name())]
    Role { role: Role },
}

impl Tokens {
    /// Admits a machine and counts it.
    pub fn admit(
        &mut self,
        token: &str,
        role: Role,
        request: &str,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let invitation = self.0.get_mut(&sha256(token.as_bytes())).ok_or(TokenError::Unknown)?;
        let Invitation { role: wanted, expires, uses_left, admitted } = invitation;
        if now >= *expires {
            return Err(TokenError::Expired { at: *expires });
        }
        if role != *wanted {
            return Err(TokenError::Role { role: *wanted });
        }
        let request = sha256(request.as_bytes());
        if admitted.contains(&request) {
            return Ok(());
        }
        *uses_left = uses_left.checked_sub(1).ok_or(TokenError::Used)?;
        admitted.push(request);
        Ok(())
    }

    pub fn load(site: &Site) -> anyhow::Result<Self> {
        site.json(FILE)
    }

    pub fn save(&self, site: &Site) -> anyhow::Result<()> {
        site.write_json(FILE, self)
    }

    fn add(&mut self, token: &str, invitation: Invitation, now: Timestamp) {
        self.0.retain(|_, invitation| invitation.expires > now);
        self.0.insert(sha256(token.as_bytes()), invitation);
    }
}

/// Makes a token.
pub fn invite(site: &Site, role: Role, valid: Duration, uses: u32) -> anyhow::Result<String> {
    let token = made_up()?;
    let now = Timestamp::now();
    let expires = now.checked_add(valid).context("that is too long")?;
    let mut tokens = Tokens::load(site)?;
    tokens.add(&token, Invitation { role, expires, uses_left: uses, admitted: Vec::new() }, now);
    tokens.save(site)?;
    Ok(token)
}
