//! Follows the discovery stream of a master; any that serves it will do.
//!
//! In: its messages. Out: the newest snapshot with its zone, in a watch. Many
//! changes that arrive together make one zone. When the stream ends, breaks or
//! skips a generation it is read again from its beginning; meanwhile the last
//! zone stays. A master that starts knows its agents only one by one, so the
//! names of those that are missing stay a while longer ([`Hold`]).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use karman_api::client::discovery::{self, Stream};
use karman_api::credentials::Credentials;
use karman_api::karman::discovery::{Applied, Gap, Message, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::Current;
use crate::zone::{self, Settings};

/// Between attempts to reach the master; doubled from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long a master that came back may wait for its agents; they try again
/// every few seconds.
const HOLD: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) http: reqwest::Client,
    /// At least one.
    pub(crate) masters: Vec<String>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) settings: Settings,
    pub(crate) current: watch::Sender<Option<Arc<Current>>>,
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Stream(#[from] discovery::Ended),
    #[error(transparent)]
    Gap(#[from] Gap),
}

/// What was known when the stream ended of agents that have not come back, and
/// until when it counts. A break before that time does not move it.
#[derive(Debug, Default)]
struct Hold {
    previous: Snapshot,
    until: Option<Instant>,
}

/// What the stream brings next.
enum Next {
    Messages(Vec<Message>),
    /// What was held counts no more.
    Released,
}

impl Follower {
    /// Follows for ever, the masters in turn; dropped when the process stops.
    pub(crate) async fn run(self) {
        let mut retry = RETRY_MIN;
        let mut reported = false;
        let mut hold = Hold::default();
        for master in self.masters.iter().cycle() {
            let current = self.current.borrow().clone();
            hold.previous = current.map(|current| current.snapshot.clone()).unwrap_or_default();
            let mut snapshot = Snapshot::default();
            let Err(ended) = self.read(master, &mut snapshot, &mut hold).await;
            let error = karman_rt::chain(&ended);
            if snapshot != Snapshot::default() {
                info!(master, error, "the discovery stream ended; names stay as they are");
                (retry, reported) = (RETRY_MIN, false);
            } else if reported {
                debug!(master, error, "no discovery stream");
            } else {
                warn!(master, error, "no discovery stream; trying again until there is one");
                reported = true;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn read(
        &self,
        master: &str,
        snapshot: &mut Snapshot,
        hold: &mut Hold,
    ) -> Result<Infallible, Ended> {
        let mut stream = Stream::open(&self.http, master, self.credentials.as_ref()).await?;
        let now = Instant::now();
        hold.until = hold.until.filter(|until| *until > now).or(Some(now + HOLD));
        loop {
            match next(&mut stream, hold).await? {
                Next::Messages(messages) => {
                    if apply(snapshot, messages)? == Applied::Changed {
                        hold.previous.forget_known(snapshot);
                        self.publish(snapshot.with_absent(&hold.previous));
                    }
                }
                Next::Released => {
                    *hold = Hold::default();
                    if *snapshot != Snapshot::default() {
                        self.publish(snapshot.clone());
                    }
                }
            }
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        let zone = zone::build(&snapshot, &self.settings);
        debug!(generation = zone.generation, names = zone.names.len(), "zone changed");
        self.current.send_replace(Some(Arc::new(Current { snapshot, zone })));
    }
}

async fn next(stream: &mut Stream, hold: &Hold) -> Result<Next, discovery::Ended> {
    let held = async {
        match hold.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        messages = stream.next() => messages.map(Next::Messages),
        () = held => Ok(Next::Released),
    }
}

fn apply(snapshot: &mut Snapshot, messages: Vec<Message>) -> Result<Applied, Gap> {
    let mut applied = Applied::Unchanged;
    for message in messages {
        if snapshot.apply(message)? == Applied::Changed {
            applied = Applied::Changed;
        }
    }
    Ok(applied)
}
