//! A bounded queue of records whose writer can empty it: a reader that is cut
//! off does not hold what it never read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Groups of records that wait for a reader.
const GROUPS_MAX: usize = 1024;
/// Bytes that wait for a reader; readers share them.
const BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
struct Cell {
    waiting: Mutex<Waiting>,
    news: Notify,
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl Cell {
    fn with<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn close(&self) {
        self.with(|waiting| *waiting = Waiting { closed: true, ..Waiting::default() });
        self.news.notify_one();
        self.ended.cancel();
    }
}

/// Where records come in; the queue ends with it.
#[derive(Debug)]
pub(super) struct Inlet(Arc<Cell>);

/// Where an operator reads; the queue ends with it.
#[derive(Debug)]
pub(super) struct Reader(Arc<Cell>);

pub(super) fn queue() -> (Inlet, Reader) {
    let cell = Arc::new(Cell::default());
    (Inlet(Arc::clone(&cell)), Reader(cell))
}

impl Inlet {
    pub(super) fn is_closed(&self) -> bool {
        self.0.with(|waiting| waiting.closed)
    }

    /// False when the reader is gone, or so slow that it is cut off here.
    pub(super) fn push(&self, group: &Bytes) -> bool {
        let is_in = self.0.with(|waiting| {
            let fits = waiting.groups.len() < GROUPS_MAX
                && waiting.bytes.saturating_add(group.len()) <= BYTES_MAX;
            if waiting.closed || !fits {
                return false;
            }
            waiting.bytes += group.len();
            waiting.groups.push_back(group.clone());
            true
        });
        if is_in {
            self.0.news.notify_one();
        }
        is_in
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Reader {
    /// Cancelled at the end, also while nobody asks for the next group.
    pub(super) fn ended(&self) -> CancellationToken {
        self.0.ended.clone()
    }

    /// `None` after the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let next = self.0.with(|waiting| {
                if waiting.closed {
                    return Some(None);
                }
                let group = waiting.groups.pop_front()?;
                waiting.bytes -= group.len();
                Some(Some(group))
            });
            match next {
                Some(next) => return next,
                None => self.0.news.notified().await,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_pass_in_order_until_an_end_goes() {
        let (inlet, mut reader) = queue();
        assert!(inlet.push(&Bytes::from_static(b"1")) && inlet.push(&Bytes::from_static(b"2")));
        assert_eq!(reader.next().await.as_deref(), Some(&b"1"[..]));
        assert_eq!(reader.next().await.as_deref(), Some(&b"2"[..]));
        drop(inlet);
        assert_eq!(reader.next().await, None);
        let (inlet, reader) = queue();
        drop(reader);
        assert!(inlet.is_closed() && !inlet.push(&Bytes::from_static(b"1")));
    }

    #[test]
    fn a_reader_that_sleeps_is_cut_off() {
        let large = Bytes::from(vec![0; BYTES_MAX / 4 + 1]);
        let (inlet, _reader) = queue();
        assert!((0..3).all(|_| inlet.push(&large)));
        assert!(!inlet.push(&large), "too many bytes");
        let (inlet, _reader) = queue();
        let small = Bytes::from_static(b"1");
        assert!((0..GROUPS_MAX).all(|_| inlet.push(&small)));
        assert!(!inlet.push(&small), "too many groups");
    }
}
