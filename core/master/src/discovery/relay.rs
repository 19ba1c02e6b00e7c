//! The discovery stream of a master that does not lead: what the leader says,
//! passed on.
//!
//! Task: one, until this master leads. Inputs: the leader's stream, newcomers.
//! Outputs: lines, into a bounded queue per follower. While there is no leader
//! the followers stay; after a while they are sent to look elsewhere.

use std::sync::Arc;
use std::time::Duration;

use karman_api::client::discovery::Stream;
use karman_api::karman::discovery::{Applied, Gap, Message, Snapshot};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::feed::{Follower, Followers, Line, sleep_until};
use super::line;
use crate::Urls;
use crate::elsewhere::Elsewhere;

/// Between two tries to read from the leader.
const RETRY: Duration = Duration::from_millis(200);
/// Without news from a leader for so long, somebody else may know more.
const STALE_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Relay {
    http: reqwest::Client,
    elsewhere: Elsewhere,
    snapshot: Arc<Snapshot>,
    followers: Vec<Follower>,
    /// Have nothing yet.
    newcomers: Vec<Follower>,
    /// When what is known is too old to be passed on.
    stale: Option<Instant>,
}

impl Relay {
    /// Starts to follow the leader, until `stop`.
    pub(crate) fn spawn(
        http: reqwest::Client,
        elsewhere: Elsewhere,
        stop: CancellationToken,
        tasks: &karman_rt::Tasks,
    ) -> Followers {
        let (followers, newcomers) = Followers::channel();
        let relay = Self {
            http,
            elsewhere,
            snapshot: Arc::default(),
            followers: Vec::new(),
            newcomers: Vec::new(),
            stale: None,
        };
        tasks.spawn("relay", async move {
            stop.run_until_cancelled(relay.run(newcomers)).await;
        });
        followers
    }

    async fn run(mut self, mut asking: mpsc::Receiver<Follower>) {
        loop {
            let Some((urls, mut stream)) = self.connected(&mut asking).await else { return };
            let mut elsewhere = self.elsewhere.clone();
            let ended = loop {
                tokio::select! {
                    messages = stream.next() => match messages {
                        Ok(messages) => match self.pass_on(messages) {
                            Ok(()) => self.welcome().await,
                            Err(gap) => break karman_rt::chain(&gap),
                        },
                        Err(ended) => break karman_rt::chain(&ended),
                    },
                    newcomer = asking.recv() => match newcomer {
                        Some(newcomer) => {
                            self.newcomers.push(newcomer);
                            self.welcome().await;
                        }
                        None => return,
                    },
                    () = elsewhere.moved(&urls) => break "somebody else leads".to_owned(),
                }
            };
            debug!(leader = urls.http, error = ended, "the leader's discovery stream ended");
        }
    }

    /// The stream of a leader, once there is one. Meanwhile followers may come,
    /// and what is known gets old.
    async fn connected(&mut self, asking: &mut mpsc::Receiver<Follower>) -> Option<(Urls, Stream)> {
        self.stale = Some(Instant::now() + STALE_MAX);
        let connecting = connect(self.http.clone(), self.elsewhere.clone());
        tokio::pin!(connecting);
        loop {
            tokio::select! {
                connected = &mut connecting => return connected,
                newcomer = asking.recv() => {
                    let newcomer = newcomer?;
                    // Whoever comes later is sent away at once.
                    if self.stale.is_some() {
                        self.newcomers.push(newcomer);
                        self.welcome().await;
                    }
                }
                () = sleep_until(self.stale) => {
                    self.stale = None;
                    self.snapshot = Arc::default();
                    self.followers.clear();
                    self.newcomers.clear();
                }
            }
        }
    }

    fn pass_on(&mut self, messages: Vec<Message>) -> Result<(), Gap> {
        for message in messages {
            let generation = message.generation;
            // In words only for those who listen.
            let text = (!self.followers.is_empty()).then(|| line(&message));
            let applied = Arc::make_mut(&mut self.snapshot).apply(message)?;
            if let Some(text) = text.filter(|_| applied == Applied::Changed) {
                let line = Line::Text { generation, text };
                self.followers.retain(|follower| follower.tell(&line));
            }
        }
        Ok(())
    }

    async fn welcome(&mut self) {
        if self.newcomers.is_empty() || *self.snapshot == Snapshot::default() {
            return;
        }
        let snapshot = Arc::clone(&self.snapshot);
        // Thousands of tasks take their time.
        let text = tokio::task::spawn_blocking(move || line(&snapshot.to_message()));
        // It is only cut short with the whole process.
        let Ok(text) = text.await else { return };
        let line = Line::Text { generation: self.snapshot.generation, text };
        let newcomers = std::mem::take(&mut self.newcomers);
        self.followers.extend(newcomers.into_iter().filter(|it| it.tell(&line)));
    }
}

/// Tries until a leader answers; `None` while stopping.
async fn connect(http: reqwest::Client, mut elsewhere: Elsewhere) -> Option<(Urls, Stream)> {
    loop {
        let urls = elsewhere.known_after(None).await?;
        match Stream::open(&http, &urls.http, None).await {
            Ok(stream) => return Some((urls, stream)),
            Err(error) => {
                let error = karman_rt::chain(&error);
                debug!(leader = urls.http, error, "the leader has no discovery stream");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
