//! Puts a file that a command wants into its sandbox.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{blocking, prepare};
use crate::admit::Download;

/// A transfer that brings nothing for this long has failed.
const STALL_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Failed to fetch '{from}'")]
    Transfer {
        from: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("Failed to fetch '{from}': the server answered {status}")]
    Refused { from: String, status: u16 },
    #[error("Failed to fetch '{from}': nothing came for {} s", STALL_MAX.as_secs())]
    Stalled { from: String },
    #[error("Failed to write '{}'", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot give away the file")]
    Owner(#[from] prepare::Error),
    #[error("cannot run beside the asynchronous tasks")]
    Join(#[from] io::Error),
}

pub(super) async fn fetch(
    download: &Download,
    sandbox: &Path,
    user: Option<&str>,
) -> Result<(), Error> {
    let Download { from, to, executable } = download;
    let path = sandbox.join(to);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| Error::Write { path: path.clone(), source })?;
    }
    if from.starts_with("http://") || from.starts_with("https://") {
        transfer(from, &path).await?;
    } else {
        let (source, target) = (from.clone(), path.clone());
        blocking(move || {
            fs::copy(&source, &target)
                .map(drop)
                .map_err(|source| Error::Write { path: target, source })
        })
        .await?;
    }
    let (executable, user) = (*executable, user.map(ToOwned::to_owned));
    blocking(move || finish(&path, executable, user.as_deref())).await
}

async fn transfer(from: &str, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Transfer { from: from.to_owned(), source };
    let write = |source| Error::Write { path: path.to_owned(), source };
    let client = reqwest::Client::builder().connect_timeout(STALL_MAX).build().map_err(failed)?;
    let response = client.get(from).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(Error::Refused { from: from.to_owned(), status: response.status().as_u16() });
    }
    let mut file = tokio::fs::File::create(path).await.map_err(write)?;
    let mut body = response.bytes_stream();
    loop {
        let chunk = tokio::time::timeout(STALL_MAX, body.next()).await;
        let Some(chunk) = chunk.map_err(|_| Error::Stalled { from: from.to_owned() })? else {
            break;
        };
        file.write_all(&chunk.map_err(failed)?).await.map_err(write)?;
    }
    file.flush().await.map_err(write)
}

fn finish(path: &Path, executable: bool, user: Option<&str>) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    if let Some(name) = user {
        let (uid, gid) = prepare::owner(name)?;
        nix::unistd::chown(path, Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}
