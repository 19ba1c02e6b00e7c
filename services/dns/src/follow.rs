//! Follows the discovery stream of the master.
//!
//! In: lines of JSON. Out: the newest snapshot with its zone, in a watch. Many
//! changes that arrive together make one zone. When the stream ends, breaks or
//! skips a generation it is read again from its beginning; meanwhile the last
//! zone stays. A master that starts knows its agents only one by one, so the
//! names of those that are missing stay a while longer ([`Hold`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use karman_api::credentials::Credentials;
use karman_api::karman::discovery::{KEEP_ALIVE_SECONDS, Message};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::Current;
use crate::snapshot::{Applied, Gap, Snapshot};
use crate::zone::{self, Settings};

/// Between attempts to reach the master; doubled from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A master is silent no longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(3 * KEEP_ALIVE_SECONDS);
/// The longest line: a full snapshot of 100,000 tasks is a tenth of it.
const LINE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// How long a master that came back may wait for its agents; they try again
/// every few seconds.
const HOLD: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) client: reqwest::Client,
    pub(crate) master: String,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) settings: Settings,
    pub(crate) current: watch::Sender<Option<Arc<Current>>>,
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the master cannot be reached")]
    Http(#[from] reqwest::Error),
    #[error("the master said nothing for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the master closed the stream")]
    Closed,
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a line is not a discovery message")]
    Message(#[from] serde_json::Error),
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
    Chunk(Bytes),
    End,
    /// What was held counts no more.
    Released,
}

pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()
}

impl Follower {
    /// Follows for ever; dropped when the process stops.
    pub(crate) async fn run(self) {
        let mut retry = RETRY_MIN;
        let mut reported = false;
        let mut hold = Hold::default();
        loop {
            let current = self.current.borrow().clone();
            hold.previous = current.map(|current| current.snapshot.clone()).unwrap_or_default();
            let mut snapshot = Snapshot::default();
            let ended = match self.read(&mut snapshot, &mut hold).await {
                Ok(()) => Ended::Closed,
                Err(ended) => ended,
            };
            let error = karman_rt::chain(&ended);
            if snapshot != Snapshot::default() {
                info!(error, "the discovery stream ended; names stay as they are");
                (retry, reported) = (RETRY_MIN, false);
            } else if reported {
                debug!(error, "no discovery stream");
            } else {
                warn!(error, "no discovery stream; trying again until there is one");
                reported = true;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn read(&self, snapshot: &mut Snapshot, hold: &mut Hold) -> Result<(), Ended> {
        let url = format!("{}/karman/v1/discovery", self.master.trim_end_matches('/'));
        let mut request = self.client.get(url);
        if let Some(Credentials { principal, secret }) = &self.credentials {
            request = request.basic_auth(principal, Some(secret));
        }
        let request = timeout(SILENCE_MAX, request.send());
        let mut response = request.await.map_err(|_elapsed| Ended::Silent)??.error_for_status()?;
        let now = Instant::now();
        hold.until = hold.until.filter(|until| *until > now).or(Some(now + HOLD));
        let mut lines = Vec::new();
        loop {
            match next(&mut response, hold).await? {
                Next::Chunk(chunk) => {
                    lines.extend_from_slice(&chunk);
                    if let Some(complete) = complete(&mut lines, &chunk)?
                        && apply(snapshot, &complete)? == Applied::Changed
                    {
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
                Next::End => return Ok(()),
            }
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        let zone = zone::build(&snapshot, &self.settings);
        debug!(generation = zone.generation, names = zone.names.len(), "zone changed");
        self.current.send_replace(Some(Arc::new(Current { snapshot, zone })));
    }
}

async fn next(response: &mut reqwest::Response, hold: &Hold) -> Result<Next, Ended> {
    let held = async {
        match hold.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        chunk = timeout(SILENCE_MAX, response.chunk()) => {
            Ok(chunk.map_err(|_elapsed| Ended::Silent)??.map_or(Next::End, Next::Chunk))
        }
        () = held => Ok(Next::Released),
    }
}

/// Takes the complete lines out of `lines`, which ends with `chunk`.
fn complete(lines: &mut Vec<u8>, chunk: &[u8]) -> Result<Option<Vec<u8>>, Ended> {
    match chunk.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => {
            let rest = lines.split_off(lines.len() - (chunk.len() - end - 1));
            Ok(Some(std::mem::replace(lines, rest)))
        }
        None if lines.len() > LINE_BYTES_MAX => Err(Ended::TooLong),
        None => Ok(None),
    }
}

/// Applies complete lines; blank ones are ignored.
fn apply(snapshot: &mut Snapshot, lines: &[u8]) -> Result<Applied, Ended> {
    let mut applied = Applied::Unchanged;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let message: Message = serde_json::from_slice(line)?;
        let full = message.full;
        if snapshot.apply(message)? == Applied::Changed || full {
            applied = Applied::Changed;
        }
    }
    Ok(applied)
}
