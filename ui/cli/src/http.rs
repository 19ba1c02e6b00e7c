//! Requests to the gateway of a cluster, and what their failures mean.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::failure::{Failure, Kind};
use crate::output::tell;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 5;
/// The state of a large cluster is tens of megabytes; more is not an answer.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;
const ERROR_TEXT_MAX: usize = 300;

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    pub token: Option<String>,
    pub trust: Trust,
    pub timeout: Duration,
    pub verbose: u8,
}

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the operating system trusts.
    System,
    /// Also those signed by the authorities in this file.
    Authorities(PathBuf),
    /// Any.
    Anyone,
}

/// One request.
#[derive(Debug)]
pub struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'a str, String)>,
    body: Option<Value>,
    /// With its media type, instead of a document.
    stream: Option<(reqwest::Body, &'a str)>,
    headers: Vec<(&'a str, &'a str)>,
    accept: &'a str,
    endless: bool,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            stream: None,
            headers: Vec::new(),
            accept: "application/json",
            endless: false,
        }
    }

    pub fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds `name=true` where it is wanted.
    pub fn flag(self, name: &'a str, wanted: bool) -> Self {
        if wanted { self.query(name, "true") } else { self }
    }

    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends what comes, as it comes.
    pub fn stream(mut self, body: reqwest::Body, media_type: &'a str) -> Self {
        self.stream = Some((body, media_type));
        self
    }

    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn accept(mut self, media_type: &'a str) -> Self {
        self.accept = media_type;
        self
    }

    /// For answers that never end: only the connection has a time limit.
    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }
}

/// A client of one cluster.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
}

impl Client {
    pub fn new(target: Target) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(target.timeout))
            .user_agent(concat!("karman/", env!("CARGO_PKG_VERSION")))
            .redirect(same_scheme());
        builder = match &target.trust {
            // Reading the system's certificates takes longer than everything else here.
            _ if target.url.scheme() == "http" => builder.tls_certs_only([]),
            Trust::System => builder,
            Trust::Authorities(path) => builder.tls_certs_merge(authorities(path)?),
            Trust::Anyone => builder.tls_danger_accept_invalid_certs(true),
        };
        if is_loopback(&target.url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Failure::usage(format!("cannot prepare HTTPS: {}", innermost(&error)))
        })?;
        Ok(Self { http, target })
    }

    /// Sends a request and reads its JSON answer; an empty one reads as `null`.
    pub async fn json(&self, call: Call<'_>) -> Result<Value, Failure> {
        let path = call.path.clone();
        let response = self.send(call).await?;
        let body = limited(response, BODY_BYTES_MAX).await?;
        if self.target.verbose > 1 {
            tell(&format!("< {}", String::from_utf8_lossy(&body)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(
                Kind::Failed,
                format!(
                    "{} answered {path} with something other than JSON: {error}",
                    self.target.url
                ),
            )
            .remedy("check that the URL is that of a Karman gateway")
        })
    }

    pub async fn get(&self, path: impl Into<String>) -> Result<Value, Failure> {
        self.json(Call::new(Method::GET, path)).await
    }

    /// Sends a request; the answer is a success, its body is still to come.
    pub async fn send(&self, call: Call<'_>) -> Result<Response, Failure> {
        let response = self.exchange(call).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal(response, &self.target.url).await)
        }
    }

    /// Sends a request and gives whatever the answer is.
    pub async fn exchange(&self, call: Call<'_>) -> Result<Response, Failure> {
        let url = self.url(&call)?;
        if self.target.verbose > 0 {
            tell(&format!("> {} {url}", call.method));
            if let (2.., Some(body)) = (self.target.verbose, &call.body) {
                tell(&format!("> {body}"));
            }
        }
        let mut request = self.http.request(call.method, url).header(ACCEPT, call.accept);
        if !call.endless {
            request = request.timeout(self.target.timeout);
        }
        if let Some(token) = &self.target.token {
            request = request.header(AUTHORIZATION, format!("token={token}"));
        }
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some((body, media_type)) = call.stream {
            request = request.header(CONTENT_TYPE, media_type).body(body);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let response = request.send().await.map_err(|error| unreachable(&error, &self.target))?;
        if self.target.verbose > 0 {
            tell(&format!("< {} in {} ms", response.status(), started.elapsed().as_millis()));
        }
        Ok(response)
    }

    fn url(&self, call: &Call<'_>) -> Result<Url, Failure> {
        let base = self.target.url.as_str().trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}{}", call.path)).map_err(|error| {
            Failure::usage(format!("{base}{} is not a URL: {error}", call.path))
        })?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }
}

/// A redirect to another scheme is the user's business: a token must not
/// travel in the clear, nor a certificate go unchecked.
fn same_scheme() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().first().map(|url| url.scheme().to_owned());
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("too many redirects")
        } else if from.is_some_and(|scheme| scheme == attempt.url().scheme()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn authorities(path: &PathBuf) -> Result<Vec<Certificate>, Failure> {
    let unusable = |why: String| {
        Failure::usage(format!("cannot use {} as certificate authorities: {why}", path.display()))
            .remedy("name a file of PEM certificates")
    };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(innermost(&error)))?;
    if found.is_empty() {
        Err(unusable("it contains no certificate".to_owned()))
    } else {
        Ok(found)
    }
}

pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The cause at the bottom of an error, which says what happened.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cause = error.to_string();
        source = error.source();
    }
    cause
}

/// Reads a body of at most `limit` bytes.
pub async fn limited(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| interrupted(&error))?;
        if body.len() + chunk.len() > limit {
            return Err(Failure::new(
                Kind::Failed,
                format!("the answer is larger than {limit} bytes"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The connection ended in the middle of an answer.
pub fn interrupted(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::new(Kind::Unreachable, "the cluster did not finish its answer in time")
            .remedy("try again");
    }
    Failure::new(Kind::Unreachable, format!("the connection was lost: {}", innermost(error)))
        .remedy("try again")
}

fn unreachable(error: &reqwest::Error, target: &Target) -> Failure {
    let url = target.url.as_str().trim_end_matches('/');
    let cause = innermost(error);
    if error.is_timeout() {
        return Failure::new(
            Kind::Unreachable,
            format!("{url} did not answer within {:?}", target.timeout),
        )
        .remedy("try again, or allow more with: karman config set core.timeout SECONDS");
    }
    let message = format!("cannot reach {url}: {cause}");
    if cause.to_lowercase().contains("certificate") {
        return Failure::new(Kind::Unreachable, message)
            .remedy("pass --ca-certs FILE, or --insecure to trust anyone");
    }
    let remedy = if is_loopback(&target.url) {
        "start a datacenter with: karmand up"
    } else {
        "check the network and the URL (karman cluster list)"
    };
    Failure::new(Kind::Unreachable, message).remedy(remedy)
}

/// What an answer other than success means.
async fn refusal(response: Response, base: &Url) -> Failure {
    let status = response.status();
    if let (true, Some(to)) = (status.is_redirection(), response.headers().get(LOCATION)) {
        let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
        return Failure::new(Kind::Failed, format!("{base} redirects to {to}"))
            .remedy("set the cluster up with that URL: karman cluster setup URL");
    }
    let body = limited(response, BODY_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    explain(status, &document, text.trim())
}

fn explain(status: StatusCode, document: &Value, text: &str) -> Failure {
    let message = match ["message", "description", "title"]
        .iter()
        .find_map(|name| document[*name].as_str())
    {
        Some(message) => message.to_owned(),
        None if text.is_empty() || text.starts_with('<') => {
            format!("the server answered {}", status.to_string().to_lowercase())
        }
        None => crate::format::shorten(text, ERROR_TEXT_MAX),
    };
    let kind = match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Kind::Unreachable
        }
        _ => Kind::Failed,
    };
    let failure = Failure::new(kind, message).details(details(document));
    match status {
        StatusCode::UNAUTHORIZED => Failure { message: "a login is needed".to_owned(), ..failure }
            .remedy("log in with: karman auth login"),
        StatusCode::FORBIDDEN => failure.remedy("ask an administrator for the permission"),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            failure.remedy("this part of the cluster is not there now; try again in a moment")
        }
        StatusCode::CONFLICT if document["deployments"].is_array() => {
            let deployments = crate::format::document::list(document, "/deployments");
            let ids: Vec<&str> =
                deployments.iter().filter_map(|deployment| deployment["id"].as_str()).collect();
            let ids = ids.join(" ");
            Failure { message: format!("the app is locked by deployment {ids}"), ..failure }.remedy(
                format!("wait for it (karman deployment watch {ids}) or override it with --force"),
            )
        }
        _ => failure,
    }
}

/// `path: rule`, one for each violated rule.
fn details(document: &Value) -> Vec<String> {
    match &document["details"] {
        Value::String(detail) => vec![detail.clone()],
        Value::Array(details) => details
            .iter()
            .flat_map(|detail| {
                let path = detail["path"].as_str().unwrap_or_default();
                let path = if path.is_empty() { "/" } else { path };
                let errors = detail["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
                errors
                    .iter()
                    .map(move |error| format!("{path}: {}", crate::format::document::plain(error)))
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
