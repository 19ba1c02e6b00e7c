//! Asks registries for manifests and blobs, by the distribution API.
//!
//! Mirrors are asked first, the registry itself last. What comes back is not
//! trusted: manifests are small, blobs have the size and digest that somebody
//! else named.

mod endpoint;
mod error;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Certificate;
use tracing::debug;

use crate::auth::Auth;
use crate::digest::Digest;
use crate::manifest::{ACCEPT, DOCUMENT_BYTES_MAX, Descriptor};
use crate::reference::Reference;

use endpoint::Endpoint;
pub use error::Error;
pub(crate) use transfer::Transfer;

/// A server that says nothing for this long has failed.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Of a manifest, or of a token.
const ANSWER_MAX: Duration = Duration::from_secs(90);

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// By registry (`docker.io`): hosts or URLs that have the same images.
    /// A path in a URL precedes the names of repositories.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts that may be asked without TLS, beside those of this machine.
    pub insecure: BTreeSet<String>,
    /// Files of certificates in PEM form, beside those of the system.
    pub authorities: Vec<PathBuf>,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    registries: std::sync::Arc<Registries>,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("cannot read the certificates of {}", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the certificates of {} are not in PEM form", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("cannot prepare HTTPS")]
    Tls(#[source] reqwest::Error),
}

impl Client {
    pub(crate) fn new(registries: Registries) -> Result<Self, SetupError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("karman/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .read_timeout(STALL_MAX);
        for path in &registries.authorities {
            let pem = std::fs::read(path)
                .map_err(|source| SetupError::Authority { path: path.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|source| SetupError::Pem { path: path.clone(), source })?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(SetupError::Tls)?;
        Ok(Self { http, registries: registries.into() })
    }

    /// For all requests about one image.
    pub(crate) fn session(&self, reference: &Reference, auth: &Auth) -> Session {
        let mirrors = self.registries.mirrors.get(reference.registry());
        let mut endpoints = Vec::new();
        for mirror in mirrors.into_iter().flatten() {
            endpoints.extend(Endpoint::mirror(mirror, reference, auth, &self.registries));
        }
        endpoints.extend(Endpoint::origin(reference, auth, &self.registries));
        Session { http: self.http.clone(), endpoints, reference: reference.clone() }
    }
}

/// What one registry and its mirrors say of one image.
#[derive(Debug)]
pub(crate) struct Session {
    http: reqwest::Client,
    endpoints: Vec<Endpoint>,
    reference: Reference,
}

/// A manifest or an index, as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

/// What to ask for.
enum Wanted<'a> {
    /// Small, and of this digest if one is known.
    Document {
        path: String,
        digest: Option<&'a Digest>,
    },
    Blob {
        blob: &'a Descriptor,
        to: &'a Transfer,
    },
}

impl Session {
    /// What is under the name.
    pub(crate) async fn named(&self) -> Result<Sent, Error> {
        let path = format!("manifests/{}", self.reference.version());
        self.anywhere(&Wanted::Document { path, digest: self.reference.digest() }).await
    }

    /// What an index points to.
    pub(crate) async fn manifest(&self, entry: &Descriptor) -> Result<Sent, Error> {
        let path = format!("manifests/{}", entry.digest);
        self.anywhere(&Wanted::Document { path, digest: Some(&entry.digest) }).await
    }

    /// A small blob.
    pub(crate) async fn small(&self, blob: &Descriptor) -> Result<Vec<u8>, Error> {
        let path = format!("blobs/{}", blob.digest);
        let wanted = Wanted::Document { path, digest: Some(&blob.digest) };
        self.anywhere(&wanted).await.map(|sent| sent.bytes)
    }

    /// A blob of any size, into a file.
    pub(crate) async fn blob(&self, blob: &Descriptor, to: &Transfer) -> Result<(), Error> {
        self.anywhere(&Wanted::Blob { blob, to }).await.map(drop)
    }

    /// Asks one after the other; the registry itself has the last word.
    async fn anywhere(&self, wanted: &Wanted<'_>) -> Result<Sent, Error> {
        let mut last = Error::Nowhere { registry: self.reference.registry().to_owned() };
        for endpoint in &self.endpoints {
            if !endpoint.is_in_use() {
                continue;
            }
            match self.ask(endpoint, wanted).await {
                Ok(sent) => {
                    self.stay_with(endpoint);
                    return Ok(sent);
                }
                Err(error) => {
                    debug!(%endpoint, %error, "a registry does not answer as wanted");
                    last = last.or(error, endpoint);
                }
            }
        }
        Err(last)
    }

    async fn ask(&self, endpoint: &Endpoint, wanted: &Wanted<'_>) -> Result<Sent, Error> {
        match wanted {
            Wanted::Document { path, digest } => {
                let mut request = endpoint.get(&self.http, path);
                if path.starts_with("manifests/") {
                    request = request.header("accept", ACCEPT);
                }
                document(endpoint, request, *digest).await
            }
            Wanted::Blob { blob, to } => {
                to.run(endpoint, &self.http, blob).await?;
                Ok(Sent { bytes: Vec::new(), digest: blob.digest.clone() })
            }
        }
    }

    /// The two ways to reach one host are not tried again for every blob.
    fn stay_with(&self, endpoint: &Endpoint) {
        for other in self.endpoints.iter().filter(|other| other.is_other_way_to(endpoint)) {
            other.give_up();
        }
    }
}

async fn document(
    endpoint: &Endpoint,
    request: reqwest::RequestBuilder,
    wanted: Option<&Digest>,
) -> Result<Sent, Error> {
    let answer = async {
        let response = endpoint.send(request).await?;
        let bytes = endpoint::limited(response, DOCUMENT_BYTES_MAX, endpoint).await?;
        let algorithm = wanted.map_or(crate::digest::Algorithm::Sha256, Digest::algorithm);
        let mut hasher = crate::digest::Hasher::new(algorithm);
        hasher.update(&bytes);
        let digest = hasher.finish();
        match wanted.filter(|wanted| **wanted != digest) {
            Some(wanted) => Err(Error::Digest { wanted: wanted.clone(), found: digest }),
            None => Ok(Sent { bytes, digest }),
        }
    };
    let late = |_| Error::Late { endpoint: endpoint.to_string(), limit: ANSWER_MAX };
    tokio::time::timeout(ANSWER_MAX, answer).await.map_err(late)?
}
