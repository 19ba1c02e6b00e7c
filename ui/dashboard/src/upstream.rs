//! The HTTP client for the APIs that the dashboard and the gateway read:
//! bounded answers, deadlines, errors that name what did not answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use karman_api::credentials::Credentials;
use karman_rt::http::{Connector, Reach};
use serde::de::DeserializeOwned;

/// The largest answer that is read whole; a master with 50,000 tasks stays
/// below it.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client<Connector, Full<Bytes>>,
    signed: Option<Signed>,
    scheme: &'static str,
}

/// What one of the upstreams is shown, and nobody else.
#[derive(Clone, Debug)]
struct Signed {
    base: String,
    authorization: HeaderValue,
}

/// An answer that was read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{url}' is not a URL")]
    Url { url: String, source: http::Error },
    #[error("no connection to {url}")]
    Unreachable { url: String, source: hyper_util::client::legacy::Error },
    #[error("{url} did not answer in {} seconds", ANSWER_TIMEOUT.as_secs())]
    Late { url: String },
    #[error("the answer of {url} broke off")]
    Cut { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the answer of {url} is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge { url: String },
    #[error("{url} answered {status}: {message}")]
    Refused { url: String, status: StatusCode, message: String },
    #[error("{url} answered something else than expected")]
    Unexpected { url: String, source: serde_json::Error },
}

impl Upstream {
    /// `credentials` are for the master with that base URL.
    pub fn new(master: &str, credentials: Option<&Credentials>, reach: Reach) -> Self {
        let signed = credentials.and_then(|credentials| {
            let mut authorization = HeaderValue::from_str(&credentials.basic()).ok()?;
            authorization.set_sensitive(true);
            Some(Signed { base: master.to_owned(), authorization })
        });
        let scheme = reach.scheme();
        let client = karman_rt::http::client(reach, CONNECT_TIMEOUT, IDLE_TIMEOUT);
        Self { client, signed, scheme }
    }

    /// How agents are reached: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn authorization(&self, url: &str) -> Option<&HeaderValue> {
        let Signed { base, authorization } = self.signed.as_ref()?;
        url.strip_prefix(base.as_str())?.starts_with('/').then_some(authorization)
    }

    /// Sends a request and reads the answer, whatever its status.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        json: Option<Bytes>,
    ) -> Result<Answer, Error> {
        let answer = async {
            let response = self.open(method, url, json, "application/json").await?;
            let status = response.status();
            let body = collect(url, response.into_body()).await?;
            Ok(Answer { status, body })
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Error::Late { url: url.to_owned() }),
        }
    }

    /// Reads a JSON document; an answer that is not a success is an error.
    pub async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        let Answer { status, body } = self.send(Method::GET, url, None).await?;
        if !status.is_success() {
            return Err(Error::Refused { url: url.to_owned(), status, message: message(&body) });
        }
        serde_json::from_slice(&body)
            .map_err(|source| Error::Unexpected { url: url.to_owned(), source })
    }

    /// Opens an answer that is read as it comes, without a deadline for its end.
    pub async fn stream(
        &self,
        url: &str,
        accept: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let opening = self.open(Method::GET, url, None, accept);
        let response = match tokio::time::timeout(ANSWER_TIMEOUT, opening).await {
            Ok(response) => response?,
            Err(_elapsed) => return Err(Error::Late { url: url.to_owned() }),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = message(&collect(url, response.into_body()).await?);
        Err(Error::Refused { url: url.to_owned(), status, message })
    }

    async fn open(
        &self,
        method: Method,
        url: &str,
        json: Option<Bytes>,
        accept: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder().method(method).uri(url).header(header::ACCEPT, accept);
        if let Some(authorization) = self.authorization(url) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if json.is_some() {
            request =
                request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request
            .body(Full::new(json.unwrap_or_default()))
            .map_err(|source| Error::Url { url: url.to_owned(), source })?;
        self.client
            .request(request)
            .await
            .map_err(|source| Error::Unreachable { url: url.to_owned(), source })
    }
}

async fn collect(url: &str, body: Incoming) -> Result<Bytes, Error> {
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(source) if source.is::<LengthLimitError>() => {
            Err(Error::TooLarge { url: url.to_owned() })
        }
        Err(source) => Err(Error::Cut { url: url.to_owned(), source }),
    }
}

/// The `message` of a JSON error body, or the start of a text.
pub fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        message: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(Body { message }) => message,
        Err(_not_json) => String::from_utf8_lossy(body).trim().chars().take(300).collect(),
    }
}

/// Cuts a stream of bytes into lines, as NDJSON and server-sent events need.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
}

/// A line longer than this is cut: nobody sends one that matters.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Lines {
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line, without its end.
    pub fn next_line(&mut self) -> Option<Bytes> {
        let end = match self.buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.buffer.len() > LINE_BYTES_MAX => self.buffer.len(),
            None => return None,
        };
        let mut line = self.buffer.split_to(end);
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.truncate(line.len() - 1);
        }
        Some(line.freeze())
    }
}

/// Percent-encodes a value for a query or a path segment.
pub fn encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in ["da", "ta: 1\r\n", "\n", "{\"a\":", "2}\nrest"] {
            lines.push(piece.as_bytes());
            while let Some(line) = lines.next_line() {
                found.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(found, ["data: 1", "", "{\"a\":2}"]);
    }

    #[test]
    fn only_the_master_sees_its_credentials() {
        let credentials = Credentials { principal: "p".into(), secret: "s".into() };
        let upstream = Upstream::new("http://h:50", Some(&credentials), Reach::default());
        assert!(upstream.authorization("http://h:50/state").is_some());
        for other in ["http://h:5051/state", "http://h:80/state", "http://h:50"] {
            assert!(upstream.authorization(other).is_none(), "{other}");
        }
    }

    #[test]
    fn values_are_encoded_for_urls() {
        assert_eq!(encode("/a b&c=d%é~"), "%2Fa%20b%26c%3Dd%25%C3%A9~");
    }

    #[test]
    fn refusals_are_read_from_json_and_text() {
        assert_eq!(message(br#"{"message":"no","details":[]}"#), "no");
        assert_eq!(message(b"  plain text \n"), "plain text");
        assert_eq!(message(&[b'x'; 1000]).len(), 300);
    }
}
