//! Holds calls back that come faster than their principal may call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::answer;
use crate::limits::{Limits, Verdict};

/// Shared by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    limits: Arc<Mutex<Limits>>,
    started: Instant,
}

impl Throttle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(Mutex::new(limits)), started: Instant::now() }
    }

    /// Returns when it is the call's turn; the error is the answer to give.
    pub(super) async fn pass(&self, principal: Option<&str>) -> Result<(), Box<Response>> {
        let verdict = {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            limits.admit(self.started.elapsed(), principal)
        };
        match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Verdict::Refuse { retry_after } => {
                let seconds = retry_after.as_secs().saturating_add(1);
                let whose = principal.map_or_else(String::new, |name| format!(" of '{name}'"));
                let message = format!(
                    "too many calls{whose} wait already; try again after {seconds} s, or ask the admin for a higher rate or capacity"
                );
                let mut response = answer::text(StatusCode::TOO_MANY_REQUESTS, message);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                Err(Box::new(response))
            }
        }
    }
}
