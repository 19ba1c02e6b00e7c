//! The status updates of a task on its agent: in order, one outstanding, each
//! until it is acknowledged. Written again here so that the simulation does not
//! believe what it is to check.

use std::collections::VecDeque;

use karman_api::mesos::v1::TaskStatus;

const RETRY_MS_MIN: u64 = 10_000;
const RETRY_MS_MAX: u64 = 600_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Updates {
    waiting: VecDeque<TaskStatus>,
    pub(super) latest: Option<TaskStatus>,
    acknowledged: Option<TaskStatus>,
    /// When the outstanding one is due again; at once if absent.
    pub(super) retry_at: Option<u64>,
    retry_ms: u64,
}

impl Updates {
    pub(super) fn push(&mut self, status: TaskStatus) {
        self.latest = Some(status.clone());
        self.waiting.push_back(status);
    }

    /// The one to send now; asking is sending.
    pub(super) fn due(&mut self, now: u64) -> Option<TaskStatus> {
        let outstanding = self.waiting.front()?.clone();
        self.retry_ms = match self.retry_at {
            Some(at) if at > now => return None,
            Some(_) => (self.retry_ms * 2).min(RETRY_MS_MAX),
            None => RETRY_MS_MIN,
        };
        self.retry_at = Some(now + self.retry_ms);
        Some(outstanding)
    }

    /// Whether it was the outstanding one.
    pub(super) fn acknowledge(&mut self, uuid: &[u8]) -> bool {
        if self.waiting.front().and_then(|status| status.uuid.as_deref()) != Some(uuid) {
            return false;
        }
        self.acknowledged = self.waiting.pop_front();
        self.retry_at = None;
        true
    }

    pub(super) const fn reconnected(&mut self) {
        self.retry_at = None;
    }

    pub(super) fn outstanding(&self) -> Option<&TaskStatus> {
        self.waiting.front().or(self.acknowledged.as_ref())
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.waiting.is_empty()
    }
}
