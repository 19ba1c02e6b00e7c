//! A client of the Mesos v1 scheduler API, in protobuf.
//!
//! [`Client::subscribe`] opens the event stream; the [`Caller`] that comes with
//! it makes all other calls of that subscription. When the stream ends, both are
//! void and the scheduler subscribes again; retrying is its decision.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use reqwest::Response;

use crate::codec::{self, Codec};
use crate::credentials::Credentials;
use crate::mesos::v1::FrameworkId;
use crate::mesos::v1::scheduler::call::Type;
use crate::mesos::v1::scheduler::{Call, Event};
use crate::recordio;

const PATH: &str = "/api/v1/scheduler";
const STREAM_ID: &str = "Mesos-Stream-Id";
const CODEC: Codec = Codec::Protobuf;

/// How long the answer to a call, or the head of the stream, may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Masters send a heartbeat every 15 s; five missed ones are a broken stream.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// Redirects from masters that do not lead.
const REDIRECTS_MAX: usize = 5;
/// A record holds at most the offers of one allocation.
const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("cannot reach the master at {url}")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the master at {url} does not answer")]
    Silent { url: String },
    #[error("the master at {url} refuses the subscription with {status}: {message}")]
    Refused { url: String, status: StatusCode, message: String },
    #[error("the masters redirect in a circle, last to {url}")]
    Circle { url: String },
    #[error("the master at {url} does not name the stream")]
    NoStreamId { url: String },
}

/// Why a call was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the master cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the master refuses the call with {status}: {message}")]
    Refused { status: StatusCode, message: String },
}

/// Why the stream of events broke.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("the stream broke")]
    Broken(#[source] reqwest::Error),
    #[error("the master closed the stream")]
    Closed,
    #[error("the master sent nothing for {} seconds", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the stream is not RecordIO")]
    Framing(#[from] recordio::Error),
    #[error("a record is not an event")]
    Event(#[from] codec::Error),
}

/// Finds the leading master and subscribes.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    credentials: Option<Credentials>,
}

impl Client {
    /// `http` must not follow redirects by itself.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, credentials: None }
    }

    /// The same client, for masters that ask who is calling.
    #[must_use]
    pub fn with_credentials(self, credentials: Option<Credentials>) -> Self {
        Self { credentials, ..self }
    }

    /// Sends the SUBSCRIBE call to `master` (a base URL), or to wherever it
    /// points.
    ///
    /// # Errors
    /// When no master accepts it.
    pub async fn subscribe(
        &self,
        master: &str,
        call: &Call,
    ) -> Result<(Caller, Events), SubscribeError> {
        let mut url = format!("{}{PATH}", master.trim_end_matches('/'));
        for _ in 0..=REDIRECTS_MAX {
            let response = self.open(&url, call).await?;
            if !response.status().is_redirection() {
                return self.accept(url, response, call.framework_id.clone()).await;
            }
            let location =
                response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            url = redirected(&url, location.unwrap_or_default());
        }
        Err(SubscribeError::Circle { url })
    }

    async fn open(&self, url: &str, call: &Call) -> Result<Response, SubscribeError> {
        let sent = signed(self.http.post(url), self.credentials.as_ref())
            .header(header::CONTENT_TYPE, CODEC.media_type())
            .header(header::ACCEPT, CODEC.media_type())
            .body(CODEC.encode(call))
            .send();
        match tokio::time::timeout(CALL_TIMEOUT, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(source)) => Err(SubscribeError::Unreachable { url: url.into(), source }),
            Err(_) => Err(SubscribeError::Silent { url: url.into() }),
        }
    }

    async fn accept(
        &self,
        url: String,
        response: Response,
        framework_id: Option<FrameworkId>,
    ) -> Result<(Caller, Events), SubscribeError> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(SubscribeError::Refused {
                url,
                status,
                message: message_of(response).await,
            });
        }
        let stream_id = response.headers().get(STREAM_ID).and_then(|value| value.to_str().ok());
        let Some(stream_id) = stream_id.map(str::to_owned) else {
            return Err(SubscribeError::NoStreamId { url });
        };
        let (http, credentials) = (self.http.clone(), self.credentials.clone());
        let caller = Caller { http, credentials, url, stream_id, framework_id };
        let decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
        Ok((caller, Events { response, decoder, ready: VecDeque::new() }))
    }
}

/// Makes the calls of one subscription.
#[derive(Clone, Debug)]
pub struct Caller {
    http: reqwest::Client,
    credentials: Option<Credentials>,
    url: String,
    stream_id: String,
    framework_id: Option<FrameworkId>,
}

impl Caller {
    /// Calls carry the id that the master gave.
    pub fn set_framework_id(&mut self, id: FrameworkId) {
        self.framework_id = Some(id);
    }

    /// The URL of the leading master that accepted the subscription.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a call; returns once the master has accepted it for processing.
    ///
    /// # Errors
    /// When it was not accepted; the subscription may be void then.
    pub async fn call(&self, mut call: Call) -> Result<(), CallError> {
        call.framework_id.clone_from(&self.framework_id);
        let response = signed(self.http.post(&self.url), self.credentials.as_ref())
            .header(header::CONTENT_TYPE, CODEC.media_type())
            .header(STREAM_ID, &self.stream_id)
            .body(CODEC.encode(&call))
            .timeout(CALL_TIMEOUT)
            .send()
            .await
            .map_err(CallError::Unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(CallError::Refused { status, message: message_of(response).await })
    }
}

/// The events of one subscription.
#[derive(Debug)]
pub struct Events {
    response: Response,
    decoder: recordio::Decoder,
    ready: VecDeque<Event>,
}

impl Events {
    /// Waits for the next event. Cancel safe.
    ///
    /// # Errors
    /// When the stream is over; the scheduler has to subscribe again.
    pub async fn next(&mut self) -> Result<Event, StreamError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let chunk = match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Err(StreamError::Closed),
                Ok(Err(error)) => return Err(StreamError::Broken(error)),
                Err(_) => return Err(StreamError::Silent),
            };
            self.push(&chunk)?;
        }
    }

    fn push(&mut self, chunk: &Bytes) -> Result<(), StreamError> {
        self.decoder.push(chunk);
        while let Some(record) = self.decoder.next_record()? {
            self.ready.push_back(CODEC.decode(&record)?);
        }
        Ok(())
    }
}

fn signed(
    request: reqwest::RequestBuilder,
    credentials: Option<&Credentials>,
) -> reqwest::RequestBuilder {
    match credentials {
        Some(it) => request.basic_auth(&it.principal, Some(&it.secret)),
        None => request,
    }
}

/// A call of that type with nothing in it yet.
pub fn call(kind: Type) -> Call {
    Call { r#type: Some(kind.into()), ..Call::default() }
}

async fn message_of(response: Response) -> String {
    response.text().await.unwrap_or_default().trim().chars().take(500).collect()
}

/// Masters point to the leader as `//host:port/path`, which keeps the scheme.
fn redirected(from: &str, location: &str) -> String {
    let scheme = from.split("://").next().unwrap_or("http");
    let target = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        let authority = from.split('/').nth(2).unwrap_or_default();
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    // Some masters name the leader only and leave the path to the client.
    match target.split('/').nth(3) {
        None | Some("") => format!("{}{PATH}", target.trim_end_matches('/')),
        Some(_) => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_keep_scheme_and_path() {
        let from = "http://a:5050/api/v1/scheduler";
        for (location, to) in [
            ("//b:5050/api/v1/scheduler", "http://b:5050/api/v1/scheduler"),
            ("//b:5050", "http://b:5050/api/v1/scheduler"),
            ("http://b:1/", "http://b:1/api/v1/scheduler"),
            ("/master/api/v1/scheduler", "http://a:5050/master/api/v1/scheduler"),
        ] {
            assert_eq!(redirected(from, location), to);
        }
    }
}
