//! Brings one blob into a file, and goes on where a connection broke.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tracing::debug;

use super::Error;
use super::endpoint::Endpoint;
use crate::digest::Hasher;
use crate::manifest::Descriptor;

const ATTEMPTS_MAX: u32 = 5;
/// Doubles with each attempt.
const BACKOFF: Duration = Duration::from_millis(500);

/// An attempt that brought less than this brought nothing.
const MOVES_BYTES_MIN: u64 = 1 << 20;

/// Where a blob goes.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) path: PathBuf,
    /// Bytes that have come, for whoever shows progress.
    pub(crate) seen: Arc<AtomicU64>,
}

/// What has come so far.
struct Part {
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Transfer {
    pub(super) async fn run(
        &self,
        endpoint: &Endpoint,
        http: &reqwest::Client,
        blob: &Descriptor,
    ) -> Result<(), Error> {
        let mut part = self.start(blob).await.map_err(Error::Write)?;
        let mut attempt = 1;
        loop {
            let before = part.bytes;
            match self.attempt(endpoint, http, blob, &mut part).await {
                Ok(()) => break,
                Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => {
                    debug!(%endpoint, %error, bytes = part.bytes, "a transfer broke");
                    // What moves on may break as often as it likes.
                    let moves = part.bytes >= before + MOVES_BYTES_MIN;
                    attempt = if moves { 1 } else { attempt + 1 };
                    tokio::time::sleep(BACKOFF * 2_u32.pow(attempt - 1)).await;
                }
                Err(error) => return Err(error),
            }
        }
        let Part { mut file, hasher, bytes } = part;
        file.flush().await.map_err(Error::Write)?;
        if bytes != blob.size {
            return Err(Error::Size { wanted: blob.size, found: bytes });
        }
        let found = hasher.finish();
        if found == blob.digest {
            Ok(())
        } else {
            Err(Error::Digest { wanted: blob.digest.clone(), found })
        }
    }

    async fn start(&self, blob: &Descriptor) -> io::Result<Part> {
        self.seen.store(0, Ordering::Relaxed);
        let file = File::create(&self.path).await?;
        Ok(Part { file, hasher: Hasher::new(blob.digest.algorithm()), bytes: 0 })
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        http: &reqwest::Client,
        blob: &Descriptor,
        part: &mut Part,
    ) -> Result<(), Error> {
        let mut request = endpoint.get(http, &format!("blobs/{}", blob.digest));
        if part.bytes > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.bytes));
        }
        let response = endpoint.send(request).await?;
        if part.bytes > 0 && !goes_on(&response, part.bytes) {
            *part = self.start(blob).await.map_err(Error::Write)?;
        }
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|source| endpoint.failed(source.without_url()))?;
            let bytes = part.bytes + chunk.len() as u64;
            if bytes > blob.size {
                return Err(Error::Size { wanted: blob.size, found: bytes });
            }
            part.file.write_all(&chunk).await.map_err(Error::Write)?;
            part.hasher.update(&chunk);
            part.bytes = bytes;
            self.seen.store(bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether an answer begins where it was asked to.
fn goes_on(response: &Response, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}
