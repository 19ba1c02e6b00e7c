//! Loads images from this machine: without a registry, without a network.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::disk::Work;
use super::install::{Order, install};
use super::source::Source;
use super::{Error, Failed, Image, Inner, Store, blocking};
use crate::layout::{Layout, Listed};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::unpack::{self, Form, Stop};

impl Store {
    /// Loads all images of an OCI layout or of an archive of `docker save`, be
    /// it a folder or an archive of one. They get the names that are written
    /// in it.
    ///
    /// # Errors
    /// It is none, it is not what it says, or it does not fit.
    pub async fn load(&self, path: &Path) -> Result<Vec<Image>, Failed> {
        self.load_as(path, None).await
    }

    /// Loads images and gives them another name, if there is only one.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub async fn load_as(
        &self,
        path: &Path,
        name: Option<&Reference>,
    ) -> Result<Vec<Image>, Failed> {
        load(&self.0, path, name).await.map_err(|source| Failed {
            verb: "load",
            what: path.display().to_string(),
            source: Arc::new(source),
        })
    }
}

async fn load(
    store: &Arc<Inner>,
    path: &Path,
    name: Option<&Reference>,
) -> Result<Vec<Image>, Error> {
    let (folder, _work) = folder(store, path).await?;
    let platform = store.settings.platform.clone();
    let (layout, mut listed) =
        blocking(move || Ok::<_, Error>(Layout::open(&folder, &platform)?)).await?;
    if let ([only], Some(name)) = (listed.as_mut_slice(), name) {
        only.names = vec![name.clone()];
    }
    let source = Source::Folder(Arc::new(layout));
    let (progress, _) = watch::channel(Progress::default());
    let mut images = Vec::new();
    for Listed { digest, manifest, names } in listed {
        let named = digest.clone();
        let order = Order { source: source.clone(), digest, manifest, names, named };
        images.push(install(store, order, &progress).await?);
    }
    Ok(images)
}

/// The folder itself, or what an archive of one is extracted into.
async fn folder(store: &Arc<Inner>, path: &Path) -> Result<(PathBuf, Option<Work>), Error> {
    let stop = Stop::default();
    let _guard = stop.guard();
    let (inner, path) = (Arc::clone(store), path.to_owned());
    blocking(move || {
        if path.is_dir() {
            return Ok((path, None));
        }
        let archive = File::open(&path)?;
        let work = inner.disk.work()?;
        let job = unpack::Job {
            archive,
            form: &Form::Tar,
            folder: work.path(),
            owner: None,
            reserved: &[],
            limits: inner.settings.limits,
        };
        unpack::extract_until(job, &stop).map_err(|source| Error::Archive { path, source })?;
        Ok((work.path().to_owned(), Some(work)))
    })
    .await
}
