//! Puts files that a task wants into its sandbox: over HTTP, or from this
//! machine, as they are or extracted.
//!
//! Files of the machine are opened as the user of the task, with no more rights
//! than it will have. Nothing is written through a link that leads out of the
//! sandbox. What several tasks fetch may be kept, up to a size.

mod cache;
mod local;
mod place;
mod transfer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::unpack::{self, Form, Limits, Owner, Stop};
use cache::Cache;
use transfer::Transfers;

/// Names in a sandbox that are not the task's to choose.
pub const RESERVED: [&str; 2] = ["stdout", "stderr"];

/// One file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// `http://…`, `https://…`, or the path of a file of this machine.
    pub from: String,
    /// Relative to the sandbox.
    pub to: String,
    pub executable: bool,
    /// Whether an archive is extracted beside itself.
    pub extract: bool,
    /// Whether it is kept for others who want the same.
    pub cache: bool,
    /// What its content must be.
    pub checksum: Option<Digest>,
}

/// The user of a task; without one everything is done as who runs this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub owner: Owner,
    pub groups: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of all files that are kept.
    pub cache_bytes_max: u64,
    /// Of one file, and of what an archive becomes.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache_bytes_max: 2 << 30, limits: Limits::default() }
    }
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
#[error("Failed to fetch '{from}'")]
pub struct Error {
    /// Without passwords.
    pub from: String,
    #[source]
    pub source: Arc<Reason>,
}

#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("cannot ask the server")]
    Connect(#[source] reqwest::Error),
    #[error("the transfer broke")]
    Broken(#[source] reqwest::Error),
    #[error("the server answered {status}")]
    Refused { status: u16 },
    #[error("it is larger than {} MiB, which is the limit", bytes_max >> 20)]
    TooLarge { bytes_max: u64 },
    #[error("the disk would be left with less than {} MiB", free_bytes_min >> 20)]
    DiskFull { free_bytes_min: u64 },
    #[error("its content is {found}, not {wanted}")]
    Checksum { wanted: Digest, found: Digest },
    #[error("cannot read it as the user of the task")]
    Local(#[source] io::Error),
    #[error("it is no regular file")]
    NoFile,
    #[error("'{name}' cannot be its name in the sandbox")]
    Name { name: String },
    #[error("cannot extract it")]
    Extract(#[source] unpack::Error),
    #[error("cannot put it into the sandbox")]
    Place(#[source] unpack::Error),
    #[error("cannot write it")]
    Write(#[from] io::Error),
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    transfers: Transfers,
    cache: Cache,
}

impl Fetcher {
    /// Opens the folder of what is kept. Blocks.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, settings: Settings) -> io::Result<Self> {
        let cache = Cache::open(folder, settings.cache_bytes_max)?;
        let transfers = Transfers::new(settings.limits).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner { settings, transfers, cache })))
    }

    /// Puts one file into the sandbox. Dropped, it stops.
    ///
    /// # Errors
    /// It cannot be had, is not what it should be, or has no place.
    pub async fn fetch(
        &self,
        download: &Download,
        sandbox: &Path,
        user: Option<&User>,
    ) -> Result<(), Error> {
        self.run(download, sandbox, user)
            .await
            .map_err(|source| Error { from: shown(&download.from), source })
    }

    async fn run(
        &self,
        download: &Download,
        sandbox: &Path,
        user: Option<&User>,
    ) -> Result<(), Arc<Reason>> {
        let place = place::Place::of(download, sandbox, user, self.0.settings.limits)?;
        let Download { from, checksum, cache, .. } = download;
        if !is_remote(from) {
            let (from, user) = (PathBuf::from(from), user.cloned());
            let source = blocking(move || local::open(&from, user.as_ref())).await?;
            place.copy(source, checksum.clone()).await?;
        } else if *cache {
            let transfers = self.0.transfers.clone();
            let kept = self.0.cache.get(&transfers, from, checksum.as_ref()).await?;
            place.copy(kept.reopen().map_err(Reason::Write)?, None).await?;
        } else {
            let file = place.create().await?;
            self.0.transfers.run(from, file, checksum.as_ref()).await?;
        }
        place.finish().await?;
        Ok(extract(self.0.settings.limits, download, sandbox, user).await?)
    }
}

pub(crate) fn is_remote(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

/// A URL may carry a password, and messages go far.
fn shown(from: &str) -> String {
    match url::Url::parse(from) {
        Ok(mut url) if is_remote(from) && url.password().is_some() => {
            let _hidden = url.set_password(Some("***"));
            url.to_string()
        }
        _ => from.to_owned(),
    }
}

async fn extract(
    limits: Limits,
    download: &Download,
    sandbox: &Path,
    user: Option<&User>,
) -> Result<(), Reason> {
    let Download { to, executable, extract, .. } = download;
    let Some(form) = Form::of(to).filter(|_| *extract && !executable) else { return Ok(()) };
    let stop = Stop::default();
    let _guard = stop.guard();
    let (sandbox, to) = (sandbox.to_owned(), to.clone());
    let owner = user.map(|user| user.owner);
    blocking(move || {
        let archive = unpack::open_beneath(&sandbox, Path::new(&to)).map_err(Reason::Place)?;
        let job = unpack::Job {
            archive,
            form: &form,
            folder: &sandbox,
            owner,
            reserved: &RESERVED,
            limits,
        };
        unpack::extract_until(job, &stop).map(drop).map_err(Reason::Extract)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// Another cursor over the same file, even if its name is gone.
fn reopen(file: &File) -> io::Result<File> {
    use std::os::fd::AsRawFd as _;
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests;
