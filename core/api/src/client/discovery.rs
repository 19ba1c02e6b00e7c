//! A reader of the discovery stream of a master.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use crate::credentials::Credentials;
use crate::karman::discovery::{KEEP_ALIVE_SECONDS, Message};

/// A master is silent no longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(3 * KEEP_ALIVE_SECONDS);
/// The longest line: a full snapshot of 100,000 tasks is a tenth of it.
const LINE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
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
}

/// The stream of one connection.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    /// What has come of lines that are not complete.
    lines: Vec<u8>,
}

impl Stream {
    /// Opens the stream of the master with that base URL.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub async fn open(
        http: &reqwest::Client,
        master: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Self, Ended> {
        let mut request = http.get(format!("{}/karman/v1/discovery", master.trim_end_matches('/')));
        if let Some(Credentials { principal, secret }) = credentials {
            request = request.basic_auth(principal, Some(secret));
        }
        let answer =
            timeout(SILENCE_MAX, request.send()).await.map_err(|_elapsed| Ended::Silent)?;
        Ok(Self { response: answer?.error_for_status()?, lines: Vec::new() })
    }

    /// The messages that have come together, in order; none when only a part of
    /// one has come. Cancel safe.
    ///
    /// # Errors
    /// When the stream is over; it has to be opened again.
    pub async fn next(&mut self) -> Result<Vec<Message>, Ended> {
        let chunk = timeout(SILENCE_MAX, self.response.chunk()).await;
        let chunk = chunk.map_err(|_elapsed| Ended::Silent)??.ok_or(Ended::Closed)?;
        self.lines.extend_from_slice(&chunk);
        let Some(end) = chunk.iter().rposition(|byte| *byte == b'\n') else {
            let is_too_long = self.lines.len() > LINE_BYTES_MAX;
            return if is_too_long { Err(Ended::TooLong) } else { Ok(Vec::new()) };
        };
        let rest = self.lines.split_off(self.lines.len() - (chunk.len() - end - 1));
        let complete = std::mem::replace(&mut self.lines, rest);
        let lines = complete.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.trim_ascii().is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(Ended::from)).collect()
    }
}
