//! How much memory a body may become.
//!
//! The smallest message takes two bytes on the wire and a few kilobytes in
//! memory: a body of the largest size could become many gigabytes. Honest bodies
//! expand a few times.
#![deny(clippy::disallowed_methods)]

use std::cell::Cell;

/// What the lists of a body may take in memory: thirteen thousand tasks with
/// all their parts, in the largest body that is accepted, take half of it.
pub const EXPANDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A body would take too much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lists of the body would take more than {EXPANDED_BYTES_MAX} bytes of memory")]
pub struct Exceeded;

/// What is left for one body.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) const fn new() -> Self {
        Self(EXPANDED_BYTES_MAX)
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.0 = self.0.checked_sub(bytes).ok_or(Exceeded)?;
        Ok(())
    }
}

thread_local! {
    /// For the JSON that this thread reads just now: readers of fields, which
    /// serde calls, have no other way to know of each other. Reading never waits.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `read` with a budget of its own.
pub(crate) fn limited<T>(read: impl FnOnce() -> T) -> T {
    /// Gives the outer budget back, also if `read` panics.
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let _restore = Restore(LEFT.replace(Some(EXPANDED_BYTES_MAX)));
    read()
}

/// Takes so much of the budget of this thread, if it has one.
pub(crate) fn charge(bytes: usize) -> Result<(), Exceeded> {
    let Some(left) = LEFT.get() else { return Ok(()) };
    let left = left.checked_sub(bytes).ok_or(Exceeded)?;
    LEFT.set(Some(left));
    Ok(())
}
