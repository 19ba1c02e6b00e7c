//! Machines that SSH does not lead to ask to join, with an invitation.
//!
//! What they run comes over HTTPS from the admin's machine, whose key stands in
//! the command line that `invite` prints: nobody between can put in anything.
//! The script has the hash of the installer that it fetches, and the key with
//! which the answer to a machine is signed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::node::Facts;
use crate::plan::Role;

mod admit;
mod server;
mod tls;
mod tokens;

pub use server::{Settings, serve};
pub use tls::Identity;
pub use tokens::{Invitation, TokenError, Tokens, invite};

/// Where the server keeps under which address it is reached.
pub const ADDRESS_FILE: &str = "join-address";

/// What a machine sends to join.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub token: String,
    pub role: Role,
    /// Under which the others know it, if not the one that its request comes from.
    pub address: Option<IpAddr>,
    pub facts: Facts,
    /// To sign its keys.
    pub requests: BTreeMap<String, String>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({}, {:?}, {})", self.role.name(), self.address, self.facts.host)
    }
}

/// What it gets: an order, and the signature of its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub order: String,
    pub signature: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.signature)
    }
}

/// The script for `curl … | sh`.
pub fn script(url: &str, pin: &str, sha256: &str, key: &str) -> String {
    let template = include_str!("install.sh");
    template
        .replace("@URL@", url)
        .replace("@PIN@", pin)
        .replace("@SHA256@", sha256)
        .replace("@KEY@", key)
}

/// The line that an administrator runs on a machine.
pub fn command_line(url: &str, pin: &str, role: Role, token: &str) -> String {
    format!(
        "curl -fsSk --pinnedpubkey '{pin}' {url}/install.sh | sudo sh -s -- {} {token}",
        role.name()
    )
}

#[cfg(test)]
mod tests;
