//! Puts a file that a command wants into its sandbox.

use std::ffi::CString;
use std::path::Path;

use karman_image::Fetcher;
use karman_image::fetch::{self, Download};
use karman_image::unpack::Owner;
use nix::unistd::{User, getgrouplist};

use super::blocking;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error("no user '{name}' on this machine")]
    NoUser { name: String },
    #[error("cannot run beside the asynchronous tasks")]
    Join(#[from] std::io::Error),
}

pub(super) async fn fetch(
    fetcher: &Fetcher,
    download: &Download,
    sandbox: &Path,
    user: Option<&str>,
) -> Result<(), Error> {
    let user = match user.map(ToOwned::to_owned) {
        Some(name) => Some(blocking(move || find(name)).await?),
        None => None,
    };
    Ok(fetcher.fetch(download, sandbox, user.as_ref()).await?)
}

/// Files of the machine are read with the rights that the task will have.
fn find(name: String) -> Result<fetch::User, Error> {
    let found = || {
        let user = User::from_name(&name).ok().flatten()?;
        let groups = getgrouplist(&CString::new(name.as_str()).ok()?, user.gid).ok()?;
        let owner = Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() };
        Some(fetch::User {
            owner,
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        })
    };
    found().ok_or(Error::NoUser { name })
}
