//! Counts what flows, reckons its digest, and ends it at a limit.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Error;
use crate::digest::{Algorithm, Digest, Hasher};

/// Tells work beside the asynchronous tasks that nobody waits for it any more:
/// when its last clone with [`Stop::guard`] is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Stops the work when it is dropped.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Guard(Stop);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Everything that is read through it is counted.
pub(super) struct Meter<R> {
    input: R,
    hasher: Option<Hasher>,
    bytes: u64,
    bytes_max: u64,
    stop: Stop,
    /// Told to whoever shows progress.
    seen: Option<Arc<AtomicU64>>,
}

/// Travels inside of the errors of readers.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("more than {0} bytes")]
    TooLarge(u64),
    #[error("stopped")]
    Stopped,
}

impl<R: Read> Meter<R> {
    pub(super) fn new(input: R, bytes_max: u64, stop: &Stop) -> Self {
        Self { input, hasher: None, bytes: 0, bytes_max, stop: stop.clone(), seen: None }
    }

    pub(super) fn hashed(mut self, algorithm: Algorithm) -> Self {
        self.hasher = Some(Hasher::new(algorithm));
        self
    }

    pub(super) fn seen_by(mut self, seen: Option<Arc<AtomicU64>>) -> Self {
        self.seen = seen;
        self
    }

    /// Of all that was read.
    pub(super) fn digest(self) -> Option<Digest> {
        self.hasher.map(Hasher::finish)
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other(Ended::Stopped));
        }
        let read = self.input.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.bytes += read as u64;
        if let Some(seen) = &self.seen {
            seen.fetch_add(read as u64, Ordering::Relaxed);
        }
        if self.bytes > self.bytes_max {
            return Err(io::Error::other(Ended::TooLarge(self.bytes_max)));
        }
        Ok(read)
    }
}

/// The reason behind the error of a reader.
pub(super) fn reason(error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Ended>()) {
        Some(Ended::TooLarge(bytes_max)) => Error::TooLarge { bytes_max: *bytes_max },
        Some(Ended::Stopped) => Error::Stopped,
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::Damaged { problem: "it ends too early" }
        }
        None => Error::Read(error),
    }
}
