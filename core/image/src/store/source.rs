//! Where an image comes from.

use std::fs::File;
use std::sync::Arc;

use super::layers::Counter;
use super::{Error, disk::Work};
use crate::digest::Algorithm;
use crate::layout::Layout;
use crate::manifest::Descriptor;
use crate::registry::{Session, Transfer};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Registry(Arc<Session>),
    Folder(Arc<Layout>),
}

/// A layer as it is packed.
pub(super) struct Packed {
    pub(super) archive: File,
    /// Its digest is still to be looked at.
    pub(super) unchecked: Option<Algorithm>,
    pub(super) is_local: bool,
}

impl Source {
    pub(super) async fn small(&self, blob: &Descriptor) -> Result<Vec<u8>, Error> {
        match self {
            Self::Registry(session) => Ok(session.small(blob).await?),
            Self::Folder(layout) => {
                let (layout, blob) = (Arc::clone(layout), blob.clone());
                super::blocking(move || Ok(layout.small(&blob)?)).await
            }
        }
    }

    /// A layer, into `work` where it must be fetched.
    pub(super) async fn layer(
        &self,
        blob: &Descriptor,
        work: &Work,
        counter: &Counter,
    ) -> Result<Packed, Error> {
        match self {
            Self::Registry(session) => {
                let path = work.path().join("packed");
                let transfer = Transfer { path: path.clone(), seen: Arc::clone(&counter.bytes) };
                session.blob(blob, &transfer).await?;
                let archive = super::blocking(move || Ok::<_, Error>(File::open(path)?)).await?;
                Ok(Packed { archive, unchecked: None, is_local: false })
            }
            Self::Folder(layout) => {
                let (layout, digest) = (Arc::clone(layout), blob.digest.clone());
                let algorithm = digest.algorithm();
                let unchecked = layout.names_content().then_some(algorithm);
                let archive =
                    super::blocking(move || Ok::<_, Error>(layout.blob(&digest)?)).await?;
                Ok(Packed { archive, unchecked, is_local: true })
            }
        }
    }
}
