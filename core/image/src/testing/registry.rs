//! A registry that does what tests want, also what none should.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use serde_json::json;

use super::Built;
use crate::digest::Digest;
use crate::reference::Reference;

#[derive(Debug, Default)]
pub(crate) struct Content {
    /// By path below `/v2/`.
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    /// Paths, in the order in which they were asked for.
    pub(crate) requests: Vec<String>,
    /// `user:password` in base64: tokens are given for it, and nothing without.
    pub(crate) password: Option<String>,
    /// Connections break after so many bytes of a blob.
    pub(crate) break_after: Option<usize>,
    /// Blobs are not answered at all.
    pub(crate) hangs: bool,
}

/// On a port of its own; it ends with the test.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) address: String,
    content: Arc<Mutex<Content>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fake = Self { address, content: Arc::default() };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    pub(crate) fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    /// Makes an image available under `repository:tag`.
    pub(crate) fn push(&self, repository: &str, tag: &str, image: &Built) {
        self.push_manifest(repository, tag, &image.manifest);
        for blob in image.blobs() {
            let path = format!("{repository}/blobs/{}", Digest::of(blob));
            self.content().documents.insert(path, blob.clone());
        }
    }

    pub(crate) fn push_manifest(&self, repository: &str, tag: &str, manifest: &[u8]) {
        for version in [tag.to_owned(), Digest::of(manifest).to_string()] {
            let path = format!("{repository}/manifests/{version}");
            self.content().documents.insert(path, manifest.to_vec());
        }
    }

    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.content().requests)
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
    };
    let path = parts.uri.path();
    if path == "/token" {
        return token(&fake, header("authorization"));
    }
    let path = path.trim_start_matches("/v2/");
    let document = match document(&fake, path, header("authorization")) {
        Ok(document) => document,
        Err(response) => return *response,
    };
    if !path.contains("/blobs/") {
        return document.into_response();
    }
    let from = header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let (hangs, break_after) = {
        let content = fake.content();
        (content.hangs, content.break_after)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    part(&document, from, break_after)
}

fn document(fake: &Fake, path: &str, shown: Option<String>) -> Result<Vec<u8>, Box<Response>> {
    let mut content = fake.content();
    if content.password.is_some() && shown.as_deref() != Some("Bearer secret-token") {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"fake\",scope=\"repository:x:pull\"",
            fake.address
        );
        let asked = [("www-authenticate", challenge)];
        return Err(Box::new((StatusCode::UNAUTHORIZED, asked).into_response()));
    }
    content.requests.push(path.to_owned());
    let document = content.documents.get(path).cloned();
    document.ok_or_else(|| Box::new(StatusCode::NOT_FOUND.into_response()))
}

fn token(fake: &Fake, shown: Option<String>) -> Response {
    let wanted = fake.content().password.clone().map(|password| format!("Basic {password}"));
    if shown == wanted {
        json!({"token": "secret-token"}).to_string().into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

fn part(document: &[u8], from: Option<usize>, break_after: Option<usize>) -> Response {
    let start = from.unwrap_or(0);
    let rest = document[start..].to_vec();
    let body = match break_after.filter(|bytes| *bytes < rest.len()) {
        None => Body::from(rest),
        Some(bytes) => {
            let chunk = Ok(Bytes::copy_from_slice(&rest[..bytes]));
            // What came before is sent while the rest is not there.
            let broken = async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("broken"))
            };
            Body::from_stream(stream::iter([chunk]).chain(stream::once(broken)))
        }
    };
    match from {
        None => body.into_response(),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", document.len() - 1, document.len());
            (StatusCode::PARTIAL_CONTENT, [("content-range", range)], body).into_response()
        }
    }
}
