//! Answers that take long to write or much memory to keep: a few at a time, off
//! the threads that serve others, and no more in memory than that bears.
//!
//! `/state` has a way of its own: all who ask for it share one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer;

/// Answers that are written at a time.
const RUNNING_MAX: usize = 4;
/// Those that wait for their turn; more are told to come back.
const WAITING_MAX: usize = 256;
/// Explanations go through the core, part by part: one at a time is enough.
const EXPLAINING_MAX: usize = 1;
/// Larger answers count while their readers read them.
const LARGE_BYTES: usize = 1024 * 1024;
/// Large answers in memory.
const LARGE_MAX: usize = 16;
/// When to come back.
const RETRY_SECONDS: u64 = 2;

/// Lets so many in and so many wait.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// All gates of a master.
#[derive(Clone, Debug)]
pub(crate) struct Renders {
    pub(crate) answers: Gate,
    pub(crate) explanations: Gate,
    large: Arc<Semaphore>,
}

impl Default for Renders {
    fn default() -> Self {
        Self {
            answers: Gate::new(RUNNING_MAX, WAITING_MAX),
            explanations: Gate::new(EXPLAINING_MAX, WAITING_MAX),
            large: Arc::new(Semaphore::new(LARGE_MAX)),
        }
    }
}

impl Gate {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let running = Arc::new(Semaphore::new(running_max));
        Self { running, waiting: Arc::default(), waiting_max }
    }

    /// Returns when it is the caller's turn; it is over when the permit goes.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Box<Response>> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let place = Place::take(&self.waiting);
        if place.others >= self.waiting_max {
            return Err(Box::new(busy()));
        }
        self.line().await
    }

    /// As [`Gate::enter`], however many wait.
    pub(super) async fn line(&self) -> Result<OwnedSemaphorePermit, Box<Response>> {
        // Never closed.
        Arc::clone(&self.running).acquire_owned().await.map_err(|_closed| Box::new(busy()))
    }

    /// Callers that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place among those who wait; given up also by those who hang up.
struct Place<'a> {
    waiting: &'a AtomicUsize,
    others: usize,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, others: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A large answer, with its part of the memory for those.
struct Kept {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Renders {
    /// What `make` writes; an error of its own is for the caller to answer.
    pub(super) async fn write<E: Send + 'static>(
        &self,
        make: impl FnOnce() -> Result<Bytes, E> + Send + 'static,
    ) -> Result<Result<Bytes, E>, Box<Response>> {
        let turn = self.answers.enter().await?;
        let written = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            make()
        });
        match written.await {
            Ok(Ok(bytes)) => self.keep(bytes).map(Ok),
            Ok(Err(error)) => Ok(Err(error)),
            Err(_panicked) => {
                let message = "the answer cannot be made";
                Err(Box::new(answer::text(StatusCode::INTERNAL_SERVER_ERROR, message)))
            }
        }
    }

    fn keep(&self, bytes: Bytes) -> Result<Bytes, Box<Response>> {
        if bytes.len() < LARGE_BYTES {
            return Ok(bytes);
        }
        let room = Arc::clone(&self.large).try_acquire_owned().map_err(|_| Box::new(busy()))?;
        Ok(Bytes::from_owner(Kept { bytes, _room: room }))
    }
}

fn busy() -> Response {
    let message = format!(
        "too many large answers are being written or read; try again after {RETRY_SECONDS} s"
    );
    let mut response = answer::text(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T, Box<Response>>) -> (u16, String) {
        let response = result.err().expect("a refusal");
        let after = response.headers()[RETRY_AFTER].to_str().unwrap().to_owned();
        (response.status().as_u16(), after)
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_others_come_back_later() {
        let gate = Gate::new(1, 1);
        let first = gate.enter().await.unwrap();
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.is_ok() }
        });
        while gate.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(refused(gate.enter().await), (503, "2".to_owned()));
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!(gate.waiting(), 0);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn large_answers_count_until_they_are_read() {
        let renders = Renders::default();
        let large = || Ok::<_, ()>(Bytes::from(vec![0; LARGE_BYTES]));
        let mut kept = Vec::new();
        for _ in 0..LARGE_MAX {
            kept.push(renders.write(large).await.unwrap().unwrap().slice(1..2));
        }
        assert_eq!(refused(renders.write(large).await), (503, "2".to_owned()));
        assert!(renders.write(|| Ok::<_, ()>(Bytes::from_static(b"small"))).await.is_ok());
        kept.pop();
        assert!(renders.write(large).await.is_ok());
        assert_eq!(renders.write(|| Err("wrong")).await.unwrap(), Err("wrong"));
    }
}
