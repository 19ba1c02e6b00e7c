//! The status updates of one task, delivered in order and each until it is
//! acknowledged. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use bytes::Bytes;
use karman_api::mesos::v1::TaskStatus;

/// Before an update that was not acknowledged is sent again; doubles each time
/// up to the second.
const RETRY_MS_MIN: u64 = 10_000;
const RETRY_MS_MAX: u64 = 600_000;

/// Executors repeat what they were not told to have been heard: all that was said
/// since a connection was lost.
const TAKEN_MAX: usize = 64;

/// One task's updates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// The first is outstanding.
    waiting: VecDeque<TaskStatus>,
    /// The newest of all, acknowledged or not.
    latest: Option<TaskStatus>,
    /// The newest that was acknowledged.
    acknowledged: Option<TaskStatus>,
    /// When the outstanding one is sent again; `None` while it was not sent.
    retry_at_ms: Option<u64>,
    retry_after_ms: u64,
    /// Of the last that were taken, whatever became of them.
    taken: VecDeque<Bytes>,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// It was of another update than the outstanding one.
    Ignored,
    Taken,
}

impl Stream {
    pub fn push(&mut self, status: TaskStatus) {
        if let Some(uuid) = &status.uuid {
            if self.taken.len() >= TAKEN_MAX {
                self.taken.pop_front();
            }
            self.taken.push_back(uuid.clone());
        }
        self.latest = Some(status.clone());
        self.waiting.push_back(status);
    }

    pub fn acknowledge(&mut self, uuid: &[u8]) -> Acknowledged {
        if self.waiting.front().and_then(|status| status.uuid.as_deref()) != Some(uuid) {
            return Acknowledged::Ignored;
        }
        self.acknowledged = self.waiting.pop_front();
        self.retry_at_ms = None;
        Acknowledged::Taken
    }

    /// The update to send now, if any; asking counts as sending.
    pub fn due(&mut self, now_ms: u64) -> Option<&TaskStatus> {
        let outstanding = self.waiting.front()?;
        match self.retry_at_ms {
            Some(at) if at > now_ms => return None,
            Some(_) => self.retry_after_ms = (self.retry_after_ms * 2).min(RETRY_MS_MAX),
            None => self.retry_after_ms = RETRY_MS_MIN,
        }
        self.retry_at_ms = Some(now_ms.saturating_add(self.retry_after_ms));
        Some(outstanding)
    }

    /// A new session knows nothing of what was sent before.
    pub fn reconnected(&mut self) {
        self.retry_at_ms = None;
    }

    /// What the framework has yet to acknowledge, or the last it did.
    pub fn outstanding(&self) -> Option<&TaskStatus> {
        self.waiting.front().or(self.acknowledged.as_ref())
    }

    pub fn latest(&self) -> Option<&TaskStatus> {
        self.latest.as_ref()
    }

    pub fn is_delivered(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it was taken before: who says it did not hear so.
    pub fn knows(&self, uuid: &[u8]) -> bool {
        self.taken.iter().any(|taken| taken == uuid)
            || self.waiting.iter().any(|status| status.uuid.as_deref() == Some(uuid))
    }

    /// How many were not acknowledged.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Everything that must survive a restart, in order.
    pub fn remembered(&self) -> impl Iterator<Item = (&TaskStatus, bool)> {
        let acknowledged = self.acknowledged.iter().map(|status| (status, true));
        acknowledged.chain(self.waiting.iter().map(|status| (status, false)))
    }
}

#[cfg(test)]
mod tests;
