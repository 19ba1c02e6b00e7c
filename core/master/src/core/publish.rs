//! What readers see: a snapshot now and then, and the discovery stream.
//!
//! A snapshot is published at most every [`INTERVAL_MIN`], and never so often
//! that copying takes more than a small part of the core's time; but what an
//! operator changed is in one before he is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use karman_model::time::Timestamp;
use tokio::sync::{mpsc, watch};

use super::Facts;
use crate::discovery::{self, Full, Table};
use crate::ledger::{Ledger, View};

const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Copying may take one part in so many of the core's time.
const COPY_SHARE: u32 = 20;
/// Lines that wait for a follower; a slower one is cut off and starts over.
pub(crate) const DISCOVERY_QUEUE_MAX: usize = 256;
/// After a restart names must not vanish while the agents come back: followers
/// get their first snapshot when all are there, or after this long.
const DISCOVERY_HOLD: Duration = Duration::from_secs(30);

/// A line of the discovery stream.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// Not yet in words, so that the core does not wait for them.
    Full(Arc<Full>),
    Delta {
        generation: u64,
        text: Bytes,
    },
}

#[derive(Debug)]
pub(super) struct Publisher {
    views: watch::Sender<Arc<View>>,
    facts: Facts,
    table: Table,
    followers: Vec<mpsc::Sender<Line>>,
    /// Have nothing yet.
    newcomers: Vec<mpsc::Sender<Line>>,
    hold_until: Timestamp,
    dirty: bool,
    next: Timestamp,
}

impl Publisher {
    pub(super) fn new(ledger: &Ledger, views: watch::Sender<Arc<View>>, facts: Facts) -> Self {
        let view = ledger.view();
        Self {
            views,
            facts,
            // Later than every generation of the master before, so that nothing
            // moves backwards.
            table: Table::new(view.identity.started.as_ms(), &view.identity.info),
            followers: Vec::new(),
            newcomers: Vec::new(),
            hold_until: view.identity.started + DISCOVERY_HOLD,
            dirty: true,
            next: Timestamp::default(),
        }
    }

    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    pub(super) fn follow(&mut self, lines: mpsc::Sender<Line>) {
        self.newcomers.push(lines);
        self.dirty = true;
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let held = (!self.newcomers.is_empty()).then_some(self.hold_until.max(self.next));
        let dirty = self.dirty.then_some(self.next);
        [held, dirty].into_iter().flatten().min()
    }

    /// `urgent`: somebody waits for the snapshot.
    pub(super) fn publish(&mut self, ledger: &mut Ledger, now: Timestamp, urgent: bool) {
        if !self.dirty || (now < self.next && !urgent) {
            return;
        }
        let begun = Instant::now();
        let view = Arc::new(ledger.view());
        let touched = ledger.take_touched();
        if let Some(message) = self.table.update(&view, &touched) {
            let text = discovery::line(&message);
            let line = Line::Delta { generation: message.generation, text };
            self.followers.retain(|follower| follower.try_send(line.clone()).is_ok());
        }
        if !self.newcomers.is_empty() && (now >= self.hold_until || !ledger.awaits_agents()) {
            let line = Line::Full(Arc::new(self.table.full(&view)));
            let newcomers = std::mem::take(&mut self.newcomers);
            self.followers.extend(
                newcomers.into_iter().filter(|follower| follower.try_send(line.clone()).is_ok()),
            );
        }
        self.views.send_replace(Arc::clone(&view));
        self.facts.publish(&view, touched);
        self.dirty = false;
        self.next = now + INTERVAL_MIN.max(begun.elapsed() * COPY_SHARE);
    }
}
