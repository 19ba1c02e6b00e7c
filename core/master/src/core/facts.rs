//! What has changed, for one who tells others of it: the newest snapshot and
//! everything touched since they asked last.
//!
//! The writer only leaves it here and goes on; whoever takes it out may be as
//! slow as he likes, and finds more at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::ledger::{Touched, View};

/// So many touches of tasks are kept as they come; whoever does not take them
/// keeps each task once, from twice as many on.
const TOUCHES_MIN: usize = 65_536;

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    left: Mutex<Left>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Left {
    /// Nobody listens: nothing is kept.
    listening: bool,
    view: Option<Arc<View>>,
    touched: Touched,
    /// So many tasks are in order and each there once.
    ordered: usize,
}

impl Facts {
    pub(super) fn publish(&self, view: &Arc<View>, touched: &Touched) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        if !left.listening {
            return;
        }
        left.view = Some(Arc::clone(view));
        left.touched.append(touched);
        if left.touched.tasks.len() > left.ordered * 2 + TOUCHES_MIN {
            left.touched.put_in_order();
            left.ordered = left.touched.tasks.len();
        }
        drop(left);
        self.0.news.notify_one();
    }

    /// From now on, what changes is kept.
    pub(crate) fn listen(&self) {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner).listening = true;
    }

    pub(crate) fn stop_listening(&self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) = Left::default();
    }

    /// What has changed since the last time; waits until something has.
    pub(crate) async fn next(&self) -> (Arc<View>, Touched) {
        loop {
            if let Some(facts) = self.take() {
                return facts;
            }
            self.0.news.notified().await;
        }
    }

    fn take(&self) -> Option<(Arc<View>, Touched)> {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        let view = left.view.take()?;
        left.ordered = 0;
        let mut touched = std::mem::take(&mut left.touched);
        drop(left);
        touched.put_in_order();
        Some((view, touched))
    }
}
