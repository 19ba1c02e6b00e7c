//! How much the process logs, and for how long.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;

use super::query::{self, Query};
use super::{Asked, Shared, answer};

/// Nobody wants more detail for longer; a flood that was forgotten ends.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// SET_LOGGING_LEVEL.
pub(super) fn set(shared: &Shared, level: u32, nanoseconds: i64) -> Response {
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) => {
            raise(shared, level, Duration::from_nanos(nanoseconds));
            answer::empty(StatusCode::OK)
        }
        Err(_negative) => answer::text(
            StatusCode::BAD_REQUEST,
            format!("set_logging_level.duration of {nanoseconds} ns must not be negative"),
        ),
    }
}

fn raise(shared: &Shared, level: u32, duration: Duration) {
    let change = shared.log.set_level(level);
    tracing::info!(level, seconds = duration.as_secs_f64(), "logging level changed for a while");
    let log = shared.log.clone();
    shared.tasks.spawn("logging-level", async move {
        tokio::time::sleep(duration.min(DURATION_MAX)).await;
        log.revert(change);
    });
}

/// `/logging/toggle?level=1&duration=1mins`; without both it tells the level.
pub(super) fn toggle(shared: &Shared, asked: &Asked) -> Response {
    if asked.query.get("level").is_none() && asked.query.get("duration").is_none() {
        return answer::text(StatusCode::OK, format!("{}\n", shared.log.level()));
    }
    match wanted(&asked.query) {
        Ok((level, duration)) => {
            raise(shared, level, duration);
            answer::empty(StatusCode::OK)
        }
        Err(problem) => answer::text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    }
}

fn wanted(query: &Query) -> Result<(u32, Duration), String> {
    let level = query.number("level")?.ok_or("Expecting 'level=value' in query")?;
    let text = query.get("duration").ok_or("Expecting 'duration=value' in query")?;
    let duration = query::duration(text)
        .ok_or_else(|| format!("Failed to parse 'duration': '{text}' is not like 10mins"))?;
    Ok((level, duration))
}
