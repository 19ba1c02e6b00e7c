//! Waiting for something to become true.

use std::fmt::Display;
use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Asks `probe` until it answers `Ok`, with growing pauses, and gives that back.
///
/// # Panics
/// After `limit`, with the last state that `probe` reported.
#[track_caller]
pub fn eventually<T, E, F>(what: &str, limit: Duration, mut probe: F) -> impl Future<Output = T>
where
    E: Display,
    F: AsyncFnMut() -> Result<T, E>,
{
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            let last = match probe().await {
                Ok(value) => return value,
                Err(state) => state.to_string(),
            };
            assert!(
                begun.elapsed() < limit,
                "{caller}: not within {limit:?}: {what}\nlast state: {last}"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
