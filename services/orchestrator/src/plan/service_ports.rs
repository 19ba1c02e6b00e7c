//! Gives service ports to the apps that ask for any (port 0).
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use karman_api::marathon::v2::App;

pub const FIRST: u16 = 10_000;
pub const LAST: u16 = 20_000;

/// No service port is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all service ports from {FIRST} to {LAST} are taken")]
pub struct Exhausted;

/// Replaces each port 0 of `app`, first by what the app had at the same place
/// before, then by the lowest free one.
pub fn assign(
    app: &mut App,
    before: Option<&App>,
    is_taken: impl Fn(u16) -> bool,
) -> Result<(), Exhausted> {
    let mut own: BTreeSet<u16> = app.port_definitions.iter().map(|one| one.port).collect();
    let free = |port: u16, own: &BTreeSet<u16>| !own.contains(&port) && !is_taken(port);
    for (i, definition) in app.port_definitions.iter_mut().enumerate() {
        if definition.port != 0 {
            continue;
        }
        let had = before
            .and_then(|before| before.port_definitions.get(i))
            .map(|before| before.port)
            .filter(|port| (FIRST..=LAST).contains(port) && !own.contains(port));
        let port =
            had.or_else(|| (FIRST..=LAST).find(|port| free(*port, &own))).ok_or(Exhausted)?;
        definition.port = port;
        own.insert(port);
    }
    Ok(())
}
