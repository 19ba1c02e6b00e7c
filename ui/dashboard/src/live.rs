//! Live regions: the same HTML as in the page, sent again when it changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};

use crate::assets::fnv;
use crate::pages::App;
use crate::view::Snapshot;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a viewer has seen, so that nothing is sent twice.
pub(crate) fn seen(html: &str) -> String {
    format!("{:016x}", fnv(html.as_bytes()))
}

/// Sends `render`'s HTML as event `region` whenever it differs from what the
/// viewer has.
pub(crate) async fn follow(
    app: Arc<App>,
    seen_before: String,
    render: impl Fn(&Snapshot) -> String + Send + 'static,
) -> Response {
    // A viewer that comes back after a while must not see the state of then.
    app.watcher.snapshot().await;
    let receiver = app.watcher.subscribe();
    let stopped = app.stopped.clone().cancelled_owned();
    let events = stream::unfold(
        (receiver, render, seen_before),
        |(mut receiver, render, mut last)| async move {
            loop {
                receiver.changed().await.ok()?;
                let snapshot = Arc::clone(&receiver.borrow_and_update());
                let html = render(&snapshot);
                let now = seen(&html);
                if now != last {
                    last = now;
                    let badge = crate::pages::layout::live_badge(snapshot.deployments.len());
                    let event = Event::default().event("region").data(html + &badge);
                    return Some((Ok::<_, Infallible>(event), (receiver, render, last)));
                }
            }
        },
    );
    Sse::new(events.take_until(stopped))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
