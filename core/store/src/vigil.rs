//! Waiting to lead, with an open line to whoever leads.
//!
//! A lease takes seconds to end, because silence may mean anything. A process that
//! was killed is not silent: its kernel closes the line and refuses the next one.
//! Then nobody needs to wait for the lease. Should it be wrong all the same, the
//! fence keeps two leaders apart as ever; so this is about time, never about
//! safety.
//!
//! Whoever has never been met says nothing by refusing: a firewall does so too.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use crate::{Error, Leader, Leadership, Store};

/// For a connection to be there.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two lines, where the first did not last as long itself.
const PAUSE: Duration = Duration::from_millis(100);

/// Campaigns as [`Store::campaign`] does, and asks the store not to wait for a
/// leader whose process has ended. `door` takes a base URL that the leader serves,
/// such as `https://10.0.0.1:5050`, from its holder text; where there is none, the
/// lease decides.
///
/// # Errors
/// Those of [`Store::campaign`].
pub async fn campaign(
    store: &dyn Store,
    name: &str,
    holder: &str,
    door: fn(&str) -> Option<String>,
) -> Result<Leadership, Error> {
    tokio::select! {
        leads = store.campaign(name, holder) => leads,
        never = watch_over(store, name, holder, door) => match never {},
    }
}

/// Holds a line to each leader in turn; not to `own`, which is a former self.
async fn watch_over(
    store: &dyn Store,
    name: &str,
    own: &str,
    door: fn(&str) -> Option<String>,
) -> Infallible {
    let mut leader = store.leader(name);
    loop {
        let now = leader.borrow_and_update().clone();
        let other = now.filter(|leader| leader.holder != own);
        let watched = other.and_then(|leader| Some((door(&leader.holder)?, leader)));
        let moved = tokio::select! {
            () = gone(store, name, watched) => leader.changed().await,
            moved = leader.changed() => moved,
        };
        if moved.is_err() {
            // The store closes, and the campaign with it.
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves once a leader was there and is no more, and the store knows it.
async fn gone(store: &dyn Store, name: &str, watched: Option<(String, Leader)>) {
    let Some((door, leader)) = watched else { return std::future::pending().await };
    let address = door.split_once("://").map_or(door.as_str(), |(_, authority)| authority);
    ended(address).await;
    info!(name, token = leader.token, door, "the leader's process has ended");
    store.expire(name, &leader).await;
}

/// Resolves once whoever listened at `address` listens no more.
async fn ended(address: &str) {
    let mut met = false;
    loop {
        let begun = Instant::now();
        match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(line)) => {
                met = true;
                closed(line).await;
            }
            Ok(Err(error)) if met && error.kind() == ErrorKind::ConnectionRefused => return,
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(PAUSE.saturating_sub(begun.elapsed())).await;
    }
}

/// Resolves once the other side closes the line, which it does sooner or later
/// with everybody who says nothing.
async fn closed(mut line: TcpStream) {
    let mut ignored = [0; 64];
    while matches!(line.read(&mut ignored).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests;
