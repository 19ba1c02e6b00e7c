//! A small blocking HTTP client for loopback. Every call has a deadline.

use std::io::BufReader;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::{Agent, Body};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct Client {
    calls: Agent,
    streams: Agent,
}

impl Client {
    pub(crate) fn new() -> Self {
        let config = |limit| {
            Agent::config_builder()
                .http_status_as_error(false)
                .proxy(None)
                .timeout_connect(Some(TIMEOUT))
                .timeout_global(limit)
                .build()
                .new_agent()
        };
        Self { calls: config(Some(TIMEOUT)), streams: config(None) }
    }

    pub(crate) fn get(&self, url: &str) -> Result<Value> {
        let response = self.calls.get(url).call().with_context(|| format!("GET {url}"))?;
        answer(response, url)
    }

    pub(crate) fn delete(&self, url: &str) -> Result<Value> {
        let response = self.calls.delete(url).call().with_context(|| format!("DELETE {url}"))?;
        answer(response, url)
    }

    pub(crate) fn post(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Value> {
        let mut request = self.calls.post(url).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body.to_string()).with_context(|| format!("POST {url}"))?;
        answer(response, url)
    }

    /// Starts to read an answer that does not end.
    pub(crate) fn stream(&self, url: &str, accept: &str, body: Option<&Value>) -> Result<Stream> {
        let response = match body {
            None => self.streams.get(url).header("Accept", accept).call(),
            Some(body) => self
                .streams
                .post(url)
                .header("Accept", accept)
                .header("Content-Type", "application/json")
                .send(body.to_string()),
        };
        let response = response.with_context(|| format!("cannot open {url}"))?;
        if !response.status().is_success() {
            bail!("{url} answered {}", response.status());
        }
        let id = response
            .headers()
            .get("mesos-stream-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok(Stream { id, lines: BufReader::new(Box::new(response.into_body().into_reader())) })
    }
}

/// An open answer; `id` is its `Mesos-Stream-Id`, if it has one.
pub(crate) struct Stream {
    pub id: String,
    pub lines: BufReader<Box<dyn std::io::Read + Send>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

fn answer(mut response: ureq::http::Response<Body>, url: &str) -> Result<Value> {
    let status = response.status();
    let text = response
        .body_mut()
        .read_to_string()
        .with_context(|| format!("cannot read the answer of {url}"))?;
    if !status.is_success() {
        bail!("{url} answered {status}: {}", text.trim());
    }
    if text.is_empty() {
        Ok(Value::Null)
    } else {
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
