//! A folder with all TLS files of a node, as they lie under `/etc/karman/tls`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Authority, Error, Issued, Subject};
use crate::plan::Role;

const KEY_MODE: u32 = 0o640;
const CERTIFICATE_MODE: u32 = 0o644;

/// Why the folder is not complete.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("a certificate of {} cannot be made", folder.display())]
    Certificate {
        folder: PathBuf,
        #[source]
        source: Error,
    },
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Writes `ca.pem`, `node.pem` and `node.key`; with the authority of the store
/// also `store/{ca,client,server,peer}.pem` and their keys. Files that exist are
/// replaced.
pub fn write_node(
    folder: &Path,
    cluster: &Authority,
    store: Option<&Authority>,
    role: Role,
    address: IpAddr,
    host: &str,
) -> Result<(), FolderError> {
    let issue = |authority: &Authority, subject: &Subject| {
        let failed = |source| FolderError::Certificate { folder: folder.to_owned(), source };
        authority.issue(subject).map_err(failed)
    };
    make(folder)?;
    write(&folder.join("ca.pem"), cluster.certificate(), CERTIFICATE_MODE)?;
    let node = issue(cluster, &Subject::Node { role, address, host: host.to_owned() })?;
    pair(folder, "node", &node)?;
    let Some(store) = store else { return Ok(()) };
    let folder = folder.join("store");
    make(&folder)?;
    write(&folder.join("ca.pem"), store.certificate(), CERTIFICATE_MODE)?;
    pair(&folder, "client", &issue(store, &Subject::StoreClient)?)?;
    pair(&folder, "server", &issue(store, &Subject::StoreServer { address })?)?;
    pair(&folder, "peer", &issue(store, &Subject::StorePeer { address })?)
}

fn make(folder: &Path) -> Result<(), FolderError> {
    fs::create_dir_all(folder)
        .map_err(|source| FolderError::Write { path: folder.to_owned(), source })
}

fn pair(folder: &Path, name: &str, issued: &Issued) -> Result<(), FolderError> {
    write(&folder.join(format!("{name}.pem")), &issued.certificate, CERTIFICATE_MODE)?;
    write(&folder.join(format!("{name}.key")), &issued.key, KEY_MODE)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), FolderError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| FolderError::Write { path: path.to_owned(), source })
}
