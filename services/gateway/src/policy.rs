//! Who may call what. Pure. In this release every valid token may call
//! everything; roles come later.
#![deny(clippy::disallowed_methods)]

use crate::route::Access;

/// Of a request, what decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    /// The user that a valid token names.
    pub uid: Option<&'a str>,
    /// Whether the method can change something.
    pub changes: bool,
    /// Whether a browser shows the answer to a person.
    pub page: bool,
    /// The `Origin` header, which browsers send with every change.
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    /// The `Sec-Fetch-Site` header.
    pub fetch_site: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// A person signs in first.
    SignIn,
    /// A program shows a token first.
    Unauthorized,
    /// Another website speaks through the user's browser.
    CrossSite,
}

/// `auth` says whether sign-in is on.
pub fn decide(auth: bool, access: Access, caller: Caller<'_>) -> Decision {
    if caller.changes && cross_site(caller) {
        return Decision::CrossSite;
    }
    match access {
        Access::SignedIn if auth && caller.uid.is_none() => {
            if caller.page {
                Decision::SignIn
            } else {
                Decision::Unauthorized
            }
        }
        Access::Open | Access::SignedIn => Decision::Allow,
    }
}

/// Programs send neither header; browsers send at least one, and no page can
/// change them. Without this a website could post to a datacenter on loopback.
fn cross_site(caller: Caller<'_>) -> bool {
    if matches!(caller.fetch_site, Some("cross-site" | "same-site")) {
        return true;
    }
    let Some(origin) = caller.origin else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != caller.host
}

#[cfg(test)]
mod tests;
