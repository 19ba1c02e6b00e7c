//! Brings a file over HTTP.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{
    ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::{Reason, place};
use crate::digest::{Digest, Hasher};
use crate::unpack::Limits;

/// A server that sends nothing for this long has failed.
const STALL_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Servers may be away for a moment.
const ATTEMPTS_MAX: u32 = 3;
const BACKOFF: Duration = Duration::from_secs(1);

/// Looks at the disk again after so much was written.
const FREE_CHECK_BYTES: u64 = 64 << 20;

/// What tells whether a file has changed on its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    etag: Option<String>,
    modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self { etag: text(ETAG), modified: text(LAST_MODIFIED) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.etag.is_none() && self.modified.is_none()
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Transfers {
    http: Client,
    limits: Limits,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Whole(Validators),
    /// What is here is what is there.
    Unchanged,
}

impl Transfers {
    pub(super) fn new(limits: Limits) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .user_agent(concat!("karman/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .read_timeout(STALL_MAX)
            .build()?;
        Ok(Self { http, limits })
    }

    pub(super) async fn run(
        &self,
        from: &str,
        file: File,
        checksum: Option<&Digest>,
    ) -> Result<(), Reason> {
        self.unless(from, file, checksum, &Validators::default()).await.map(drop)
    }

    /// Fetches what is not the same as before.
    pub(super) async fn unless(
        &self,
        from: &str,
        mut file: File,
        checksum: Option<&Digest>,
        known: &Validators,
    ) -> Result<Arrived, Reason> {
        let mut attempt = 1;
        loop {
            match self.attempt(from, &mut file, checksum, known).await {
                Err(reason) if is_passing(&reason) && attempt < ATTEMPTS_MAX => {
                    debug!(%reason, attempt, "a file did not come");
                    tokio::time::sleep(BACKOFF * attempt).await;
                    attempt += 1;
                    file.set_len(0)?;
                    file.rewind()?;
                }
                other => return other,
            }
        }
    }

    async fn attempt(
        &self,
        from: &str,
        file: &mut File,
        checksum: Option<&Digest>,
        known: &Validators,
    ) -> Result<Arrived, Reason> {
        let mut request = self.http.get(from);
        let Validators { etag, modified } = known;
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        } else if let Some(modified) = modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let connect = |error: reqwest::Error| Reason::Connect(error.without_url());
        let response = request.send().await.map_err(connect)?;
        match response.status() {
            StatusCode::NOT_MODIFIED if !known.is_empty() => return Ok(Arrived::Unchanged),
            status if status.is_success() => {}
            status => return Err(Reason::Refused { status: status.as_u16() }),
        }
        let validators = Validators::of(response.headers());
        let hasher = self.receive(response, file, place::hasher(checksum)).await?;
        if let Some(wanted) = checksum {
            place::check(hasher, wanted)?;
        }
        Ok(Arrived::Whole(validators))
    }

    async fn receive(
        &self,
        response: Response,
        file: &mut File,
        mut hasher: Hasher,
    ) -> Result<Hasher, Reason> {
        let Limits { bytes_max, free_bytes_min, .. } = self.limits;
        if response.content_length().is_some_and(|bytes| bytes > bytes_max) {
            return Err(Reason::TooLarge { bytes_max });
        }
        let (mut bytes, mut unchecked) = (0_u64, 0_u64);
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Reason::Broken(error.without_url()))?;
            bytes += chunk.len() as u64;
            if bytes > bytes_max {
                return Err(Reason::TooLarge { bytes_max });
            }
            hasher.update(&chunk);
            // Into the page cache: chunks are small, and the disk is not waited for.
            file.write_all(&chunk)?;
            unchecked += chunk.len() as u64;
            if unchecked >= FREE_CHECK_BYTES {
                unchecked = 0;
                check_free(file, free_bytes_min)?;
            }
        }
        Ok(hasher)
    }
}

fn check_free(file: &File, free_bytes_min: u64) -> Result<(), Reason> {
    match rustix::fs::fstatvfs(file) {
        Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < free_bytes_min => {
            Err(Reason::DiskFull { free_bytes_min })
        }
        _ => Ok(()),
    }
}

/// Whether another attempt may end otherwise.
fn is_passing(reason: &Reason) -> bool {
    match reason {
        Reason::Connect(_) | Reason::Broken(_) => true,
        Reason::Refused { status } => *status >= 500 || *status == 429,
        Reason::TooLarge { .. }
        | Reason::DiskFull { .. }
        | Reason::Checksum { .. }
        | Reason::Local(_)
        | Reason::NoFile
        | Reason::Name { .. }
        | Reason::Extract(_)
        | Reason::Place(_)
        | Reason::Write(_) => false,
    }
}
