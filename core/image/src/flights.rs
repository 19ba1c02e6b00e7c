//! Work that several wait for is done once, and no longer when nobody does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

pub(crate) type Flight<T> = Shared<BoxFuture<'static, T>>;

type Weak<T> = WeakShared<BoxFuture<'static, T>>;

/// By key: what is being done, and what is told about it (`M`).
pub(crate) struct Flights<K, T, M> {
    flights: Mutex<BTreeMap<K, (Weak<T>, M)>>,
}

impl<K, T, M> Default for Flights<K, T, M> {
    fn default() -> Self {
        Self { flights: Mutex::default() }
    }
}

impl<K: fmt::Debug, T, M> fmt::Debug for Flights<K, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(flights.keys()).finish()
    }
}

impl<K: Ord, T: Clone, M: Clone> Flights<K, T, M> {
    /// Joins what is under way under this key, or starts it. It goes on as long
    /// as somebody holds the flight and polls it.
    pub(crate) fn join(
        &self,
        key: K,
        start: impl FnOnce() -> (BoxFuture<'static, T>, M),
    ) -> (Flight<T>, M) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = |weak: &Weak<T>| weak.upgrade().filter(|flight| flight.peek().is_none());
        flights.retain(|_, (weak, _)| alive(weak).is_some());
        if let Some((weak, told)) = flights.get(&key)
            && let Some(flight) = alive(weak)
        {
            return (flight, told.clone());
        }
        let (work, told) = start();
        let flight = work.shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, (weak, told.clone()));
        }
        (flight, told)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_and_ends_with_the_last_who_waits() {
        let flights = Flights::<u8, u32, ()>::default();
        let started = Arc::new(AtomicU32::new(0));
        let (release, gate) = tokio::sync::watch::channel(false);
        let join = || {
            let (started, mut gate) = (Arc::clone(&started), gate.clone());
            flights.join(1, || {
                let number = started.fetch_add(1, Ordering::Relaxed);
                let work = async move {
                    gate.wait_for(|open| *open).await.unwrap();
                    number
                };
                (work.boxed(), ())
            })
        };
        let ((first, ()), (second, ())) = (join(), join());
        drop(first);
        release.send_replace(true);
        assert_eq!(second.await, 0);
        // What is done is not done again for those who had it; others start anew.
        assert_eq!(join().0.await, 1);
        drop(join());
        assert_eq!(join().0.await, 3);
    }
}
