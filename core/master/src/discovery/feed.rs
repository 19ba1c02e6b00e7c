//! The discovery stream for those who follow it.
//!
//! Task: one. Inputs: what the core has changed, newcomers. Outputs: lines, into
//! a bounded queue per follower. The core never waits for it: what happens while
//! names are computed is found at once afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use karman_rt::Tasks;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::{Full, Table, line};
use crate::core::Facts;
use crate::ledger::View;

/// Lines that wait for a follower; a slower one is cut off and starts over.
pub(crate) const LINES_MAX: usize = 256;
/// Newcomers that wait to be noticed; more have to wait with their question.
const NEWCOMERS_MAX: usize = 64;
/// After a restart names must not vanish while the agents come back: followers
/// get their first snapshot when all are there, or after this long.
const HOLD: Duration = Duration::from_secs(30);

/// A line of the stream.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// Not yet in words, so that nobody waits for them but its readers.
    Full(Arc<Full>),
    Text {
        generation: u64,
        text: Bytes,
    },
}

/// Where to ask for the stream.
#[derive(Clone, Debug)]
pub(crate) struct Followers(mpsc::Sender<Follower>);

#[derive(Debug)]
pub(super) struct Follower {
    lines: mpsc::Sender<Line>,
    _open: DropGuard,
}

impl Follower {
    /// False when it is gone, or so slow that it is cut off here.
    pub(super) fn tell(&self, line: &Line) -> bool {
        self.lines.try_send(line.clone()).is_ok()
    }
}

impl Followers {
    /// Starts the feed with what is known at the start of the master.
    pub(crate) fn spawn(view: Arc<View>, facts: Facts, tasks: &Tasks) -> Self {
        facts.listen();
        let (followers, newcomers) = Self::channel();
        let identity = &view.identity;
        // Later than every generation of the master before, so that nothing
        // moves backwards.
        let table = Table::new(identity.started.as_ms(), &identity.info);
        let feed = Feed {
            table,
            view,
            followers: Vec::new(),
            newcomers: Vec::new(),
            hold: Some(Instant::now() + HOLD),
        };
        tasks.spawn("discovery", feed.run(facts, newcomers));
        followers
    }

    /// Where to ask, and those who do.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Follower>) {
        let (asking, newcomers) = mpsc::channel(NEWCOMERS_MAX);
        (Self(asking), newcomers)
    }

    /// Lines from now on, the whole snapshot first; `None` while stopping. `open`
    /// goes when they end.
    pub(crate) async fn follow(&self, open: DropGuard) -> Option<mpsc::Receiver<Line>> {
        let (lines, incoming) = mpsc::channel(LINES_MAX);
        self.0.send(Follower { lines, _open: open }).await.ok()?;
        Some(incoming)
    }
}

#[derive(Debug)]
struct Feed {
    table: Table,
    /// What the table was made from.
    view: Arc<View>,
    followers: Vec<Follower>,
    /// Have nothing yet.
    newcomers: Vec<Follower>,
    /// Until when newcomers wait for agents that are not back yet.
    hold: Option<Instant>,
}

impl Feed {
    async fn run(mut self, facts: Facts, mut newcomers: mpsc::Receiver<Follower>) {
        loop {
            let held = self.hold.filter(|_| !self.newcomers.is_empty());
            tokio::select! {
                (view, touched) = facts.next() => {
                    // Thousands of tasks may have changed.
                    let mut table = self.table;
                    let update = tokio::task::spawn_blocking(move || {
                        let message = table.update(&view, &touched);
                        let text = message.map(|it| (it.generation, line(&it)));
                        (table, view, text)
                    });
                    // It is only cut short with the whole process.
                    let Ok((table, view, text)) = update.await else { return };
                    (self.table, self.view) = (table, view);
                    if let Some((generation, text)) = text {
                        self.tell(&Line::Text { generation, text });
                    }
                }
                newcomer = newcomers.recv() => match newcomer {
                    Some(newcomer) => self.newcomers.push(newcomer),
                    None => return,
                },
                () = sleep_until(held) => self.hold = None,
            }
            self.welcome();
        }
    }

    fn tell(&mut self, line: &Line) {
        self.followers.retain(|follower| follower.tell(line));
    }

    fn welcome(&mut self) {
        if self.newcomers.is_empty() || self.is_held() {
            return;
        }
        let line = Line::Full(Arc::new(self.table.full(&self.view)));
        let newcomers = std::mem::take(&mut self.newcomers);
        let served = newcomers.into_iter().filter(|it| it.tell(&line));
        self.followers.extend(served);
    }

    fn is_held(&mut self) -> bool {
        if !self.view.awaits_agents() {
            self.hold = None;
        }
        self.hold.is_some_and(|until| Instant::now() < until)
    }
}

pub(super) async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
