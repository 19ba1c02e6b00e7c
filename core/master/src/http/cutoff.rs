//! Readers of streams that were cut off.
//!
//! A body that is blocked because nobody reads is not asked for more, so it
//! cannot notice that its queue was closed; somebody else has to.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::Shared;
use karman_rt::http::Connection;

/// What was said before a stream was closed may be read for so long.
const GRACE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });
/// Who takes nothing of what waits for him for so long is cut off, whatever he
/// was to read. Longer than four heartbeats.
pub(crate) const UNREAD_MAX: Duration = Duration::from_secs(70);

/// Closes the connection if its stream is still there a while after `ended`;
/// the stream lives as long as what is returned.
pub(super) fn watch(
    shared: &Shared,
    connection: Connection,
    ended: CancellationToken,
) -> DropGuard {
    let over = CancellationToken::new();
    let read = over.clone();
    shared.tasks.spawn("cut-off", async move {
        let closed = async {
            ended.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = read.cancelled() => {}
            () = closed => {
                tracing::info!("a reader that was cut off does not read; its connection is closed");
                connection.close();
            }
        }
    });
    over.drop_guard()
}
