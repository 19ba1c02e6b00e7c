//! Why the store did not do what it was asked to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::Digest;
use crate::{layout, manifest, registry, unpack};

/// Why an image did not come.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
    #[error("cannot unpack {}", path.display())]
    Archive {
        path: PathBuf,
        #[source]
        source: unpack::Error,
    },
    #[error("cannot unpack the layer {digest}")]
    Layer {
        digest: Digest,
        #[source]
        source: unpack::Error,
    },
    #[error("the layer {wanted} has the content {found}")]
    LayerDigest { wanted: Digest, found: Digest },
    #[error("the layer {digest} unpacks to {found}, but the image says {wanted}")]
    DiffDigest { digest: Digest, wanted: Digest, found: Digest },
    #[error("the image has {bytes} bytes, which is more than the limit of {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error(
        "the image needs {} MiB, but the disk has {} MiB left, of which {} stay free",
        bytes >> 20,
        free_bytes >> 20,
        kept_bytes >> 20
    )]
    DiskFull { bytes: u64, free_bytes: u64, kept_bytes: u64 },
    #[error("cannot use the folder of images")]
    Disk(#[from] io::Error),
    /// Of a layer that several waited for.
    #[error(transparent)]
    Shared(Arc<Self>),
}

/// What was asked for, and why it did not come. Cheap to clone: several may
/// have waited.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {verb} {what}")]
pub struct Failed {
    /// `pull` or `load`.
    pub verb: &'static str,
    pub what: String,
    #[source]
    pub source: Arc<Error>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the folder of images {} is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("cannot use {}; choose another folder for images or make it writable", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot ask registries")]
    Client(#[from] registry::SetupError),
}

#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("'{id}' is no container id: it cannot be the name of a file")]
    Id { id: String },
    #[error("cannot write down which image a container uses")]
    Disk(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("there is no image '{name}' here")]
    NotFound { name: String },
    #[error("the image is in use by {}", holders.join(", "))]
    Held { holders: Vec<String> },
    #[error("the image is in use: it is being pulled, or a task is about to start")]
    Pinned,
    #[error("cannot use the folder of images")]
    Disk(#[from] io::Error),
}
