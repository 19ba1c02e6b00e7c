//! One server that may have the image, and what it is shown.

mod token;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use super::{Error, Registries};
use crate::auth::challenge::{self, Challenge};
use crate::auth::{Auth, Credentials};
use crate::reference::Reference;

/// Of what a registry says about an error.
const ERROR_BYTES_MAX: u64 = 64 << 10;
const DETAIL_CHARS_MAX: usize = 300;

#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Ends with the repository.
    base: Url,
    credentials: Option<Credentials>,
    /// What worked last.
    authorization: Mutex<Option<HeaderValue>>,
    /// Tried only where TLS did not work.
    fallback: bool,
    given_up: AtomicBool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.host_str().unwrap_or_default())?;
        self.base.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Endpoint {
    /// The registry of a name, in the ways it may be reached.
    pub(super) fn origin(reference: &Reference, auth: &Auth, registries: &Registries) -> Vec<Self> {
        let credentials = auth.find(reference.registry(), reference.repository());
        Self::ways(reference.host(), reference.repository(), credentials, registries)
    }

    /// A mirror is shown its own credentials, never those of whom it mirrors.
    pub(super) fn mirror(
        mirror: &str,
        reference: &Reference,
        auth: &Auth,
        registries: &Registries,
    ) -> Vec<Self> {
        let bare = mirror.split_once("://").map_or(mirror, |(_, bare)| bare);
        let (host, folder) = bare.split_once('/').unwrap_or((bare, ""));
        let folder = folder.trim_matches('/');
        let repository = match folder {
            "" => reference.repository().to_owned(),
            folder => format!("{folder}/{}", reference.repository()),
        };
        let credentials = auth.find(host, &repository);
        match mirror.split_once("://") {
            Some((scheme, _)) => {
                Self::new(scheme, host, &repository, credentials, false).into_iter().collect()
            }
            None => Self::ways(host, &repository, credentials, registries),
        }
    }

    fn ways(
        host: &str,
        repository: &str,
        credentials: Option<&Credentials>,
        registries: &Registries,
    ) -> Vec<Self> {
        let way = |scheme, fallback| Self::new(scheme, host, repository, credentials, fallback);
        let secure = way("https", false);
        let plain_allowed = secure.as_ref().is_some_and(|endpoint| is_loopback(&endpoint.base))
            || registries.insecure.contains(host);
        let plain = plain_allowed.then(|| way("http", true)).flatten();
        secure.into_iter().chain(plain).collect()
    }

    fn new(
        scheme: &str,
        host: &str,
        repository: &str,
        credentials: Option<&Credentials>,
        fallback: bool,
    ) -> Option<Self> {
        let base = Url::parse(&format!("{scheme}://{host}/v2/{repository}/")).ok()?;
        let known = matches!(base.scheme(), "http" | "https") && base.has_host();
        known.then(|| Self {
            base,
            credentials: credentials.cloned(),
            authorization: Mutex::new(None),
            fallback,
            given_up: AtomicBool::new(false),
        })
    }

    pub(super) fn is_fallback(&self) -> bool {
        self.fallback
    }

    pub(super) fn is_in_use(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_other_way_to(&self, other: &Self) -> bool {
        self.base.scheme() != other.base.scheme()
            && self.base.host() == other.base.host()
            && self.base.path() == other.base.path()
    }

    pub(super) fn get(&self, http: &reqwest::Client, path: &str) -> RequestBuilder {
        // Paths are made of tags and digests, which need no escapes.
        http.get(format!("{}{path}", self.base))
    }

    /// Sends a request, and once more with what the registry wants to see.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let again = request.try_clone();
        let response = self.attempt(request, self.shown()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.judge(response).await;
        }
        let Some((again, challenge)) = again.zip(challenge_of(&response)) else {
            return Err(self.unauthorized());
        };
        let authorization = self.answer(&challenge).await?;
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(authorization.clone());
        let response = self.attempt(again, Some(authorization)).await?;
        self.judge(response).await
    }

    fn shown(&self) -> Option<HeaderValue> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn attempt(
        &self,
        request: RequestBuilder,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        request.send().await.map_err(|source| self.failed(source.without_url()))
    }

    pub(super) fn failed(&self, source: reqwest::Error) -> Error {
        let endpoint = self.to_string();
        if source.is_connect() {
            Error::Connect { endpoint, source }
        } else {
            Error::Broken { endpoint, source }
        }
    }

    async fn answer(&self, challenge: &Challenge) -> Result<HeaderValue, Error> {
        let text = match (challenge, &self.credentials) {
            (_, Some(Credentials::Bearer { token })) => format!("Bearer {token}"),
            (Challenge::Basic, Some(Credentials::Password { user, password })) => {
                token::basic(user, password)
            }
            (Challenge::Basic, _) => return Err(self.unauthorized()),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let plain = self.base.scheme() == "http";
                if realm.scheme() != "https" && !plain && !is_loopback(realm) {
                    let (endpoint, realm) = (self.to_string(), realm.to_string());
                    return Err(Error::Realm { endpoint, realm });
                }
                let wanted = token::Wanted {
                    realm,
                    service: service.as_deref(),
                    scope: scope.as_deref(),
                    credentials: credentials.as_ref(),
                };
                format!("Bearer {}", token::fetch(self, &wanted).await?)
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| self.unauthorized())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn unauthorized(&self) -> Error {
        let endpoint = self.to_string();
        match self.credentials {
            Some(_) => Error::Forbidden { endpoint },
            None => Error::Unauthorized { endpoint },
        }
    }

    async fn judge(&self, response: Response) -> Result<Response, Error> {
        let endpoint = self.to_string();
        Err(match response.status() {
            status if status.is_success() => return Ok(response),
            StatusCode::NOT_FOUND => Error::NotFound { endpoint },
            StatusCode::TOO_MANY_REQUESTS => Error::TooMany { endpoint },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(),
            status => {
                let body = limited(response, ERROR_BYTES_MAX, self).await.unwrap_or_default();
                Error::Refused { endpoint, status: status.as_u16(), detail: detail(&body) }
            }
        })
    }
}

fn challenge_of(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut challenges: Vec<Challenge> =
        headers.filter_map(|value| challenge::parse(value.to_str().ok()?)).collect();
    challenges.sort_by_key(|challenge| *challenge == Challenge::Basic);
    challenges.into_iter().next()
}

/// What a registry says in its own words.
fn detail(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        message: String,
    }
    let Body { errors } = serde_json::from_slice(body).ok()?;
    let text = errors.into_iter().next()?.message;
    Some(text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect())
}

/// This machine, to which nobody else listens.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A whole body that is not larger than it may be.
pub(super) async fn limited(
    response: Response,
    bytes_max: u64,
    endpoint: &Endpoint,
) -> Result<Vec<u8>, Error> {
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|source| endpoint.failed(source.without_url()))?;
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            return Err(Error::TooLarge { endpoint: endpoint.to_string(), bytes_max });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
