//! What readers see: a snapshot now and then, at most every [`INTERVAL_MIN`];
//! but what an operator changed is in one before he is answered.

use std::sync::Arc;
use std::time::Duration;

use karman_model::time::Timestamp;
use tokio::sync::watch;

use super::Facts;
use crate::ledger::{Ledger, View};

const INTERVAL_MIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Publisher {
    views: watch::Sender<Arc<View>>,
    /// Who is told what has changed.
    facts: Vec<Facts>,
    dirty: bool,
    next: Timestamp,
}

impl Publisher {
    pub(super) fn new(views: watch::Sender<Arc<View>>, facts: Vec<Facts>) -> Self {
        Self { views, facts, dirty: true, next: Timestamp::default() }
    }

    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.dirty.then_some(self.next)
    }

    /// `urgent`: somebody waits for the snapshot.
    pub(super) fn publish(&mut self, ledger: &mut Ledger, now: Timestamp, urgent: bool) {
        if !self.dirty || (now < self.next && !urgent) {
            return;
        }
        let view = Arc::new(ledger.view());
        let touched = ledger.take_touched();
        for facts in &self.facts {
            facts.publish(&view, &touched);
        }
        self.views.send_replace(view);
        self.dirty = false;
        self.next = now + INTERVAL_MIN;
    }
}
