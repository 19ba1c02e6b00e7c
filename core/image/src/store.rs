//! Keeps images, unpacked and by what they are.
//!
//! ```text
//! lock                    held while a process uses the folder
//! names.json              what names stand for
//! images/<hex>.json       one image: its configuration and its layers
//! layers/<id>/            one layer on top of those that it was made on
//! layers/<id>.json        how large it is, and when it was made
//! holds/<container id>    the image that a container runs from
//! uploads/                archives that come in pieces
//! work/, trash/           what is being made, and what is being removed
//! ```
//!
//! A layer is in `layers` once it is whole: it is made in `work` and renamed. An
//! image is in `images` once its layers are, and on the disk. What a process
//! that was killed left in `work` is removed by the next. Layers that belong to
//! no image are kept for the next pull, but not over a restart of the machine,
//! which may have lost parts of them.

mod collect;
mod disk;
mod error;
mod install;
mod layers;
mod load;
mod open;
mod pins;
mod pressure;
mod pull;
mod record;
mod remove;
mod source;
mod state;
mod upload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::auth::Auth;
use crate::digest::Digest;
use crate::flights::Flights;
use crate::manifest::{Config, Platform};
use crate::reference::Reference;
use crate::registry::{Client, Registries};
use crate::unpack::Limits;

pub use collect::Collected;
use disk::Disk;
pub use error::{Error, Failed, HoldError, OpenError, RemoveError};
use layers::Ready;
use pins::Pins;
pub use pressure::Pressure;
use state::State;
pub use upload::{LoadError, UploadError};

/// What a store is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub registries: Registries,
    pub platform: Platform,
    /// Of each image.
    pub limits: Limits,
    /// Layers that come at the same time, of all images together.
    pub downloads_max: usize,
    /// Layers that are unpacked at the same time.
    pub unpacks_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            registries: Registries::default(),
            platform: Platform::native(),
            limits: Limits::default(),
            downloads_max: 6,
            unpacks_max: processors,
        }
    }
}

/// Whether what a name stood for before is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A name that is known is not asked for again, whoever pulled it.
    Cached,
    /// The registry is asked; only what changed is fetched.
    Fresh,
}

/// An image that is ready to be stacked. As long as a clone of it is there,
/// none of its layers is removed.
#[derive(Clone, Debug)]
pub struct Image {
    /// Of its manifest.
    pub digest: Digest,
    pub config: Config,
    /// Lower folders for overlayfs, topmost first. An upper folder must get
    /// the owner and mode of the first, which it hides. Without root they are
    /// for mounts with `userxattr`.
    pub layers: Vec<PathBuf>,
    _pins: Arc<Pins>,
}

/// What is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub digest: Digest,
    pub names: Vec<Reference>,
    /// Of all its layers, some of which others may share.
    pub bytes: u64,
    pub pulled_ms: u64,
    /// When a container last began or ended to use it.
    pub used_ms: u64,
    /// Containers that hold it.
    pub holders: Vec<String>,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

type PullKey = (Reference, Auth);
type Pulled = Result<Image, Arc<Error>>;
type Told = tokio::sync::watch::Receiver<crate::progress::Progress>;

#[derive(Debug)]
struct Inner {
    disk: Disk,
    settings: Settings,
    client: Client,
    state: Mutex<State>,
    pulls: Flights<PullKey, Pulled, Told>,
    layers: Flights<Digest, Result<Arc<Ready>, Arc<Error>>, Arc<layers::Counter>>,
    downloads: Semaphore,
    unpacks: Semaphore,
    /// Layers are put into their place one after the other.
    placing: tokio::sync::Mutex<()>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens a folder that only this process uses, and repairs what an earlier
    /// one left. Blocks.
    ///
    /// # Errors
    /// The folder cannot be used, or another process does.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, OpenError> {
        let client = Client::new(settings.registries.clone())?;
        let (disk, state) = open::open(folder)?;
        let (downloads, unpacks) = (settings.downloads_max.max(1), settings.unpacks_max.max(1));
        Ok(Self(Arc::new(Inner {
            disk,
            settings,
            client,
            state: Mutex::new(state),
            pulls: Flights::default(),
            layers: Flights::default(),
            downloads: Semaphore::new(downloads),
            unpacks: Semaphore::new(unpacks),
            placing: tokio::sync::Mutex::new(()),
        })))
    }

    /// All images, by digest.
    pub fn images(&self) -> Vec<Listed> {
        self.0.state().listed(&self.0.disk)
    }

    /// What a name stands for here, if it was pulled or loaded.
    pub fn named(&self, reference: &Reference) -> Option<Image> {
        let digest = self.0.state().digest_of(reference)?;
        self.image(&digest)
    }

    pub fn image(&self, digest: &Digest) -> Option<Image> {
        install::image(&self.0, digest)
    }

    /// Keeps an image for a container, until [`Store::release`]. Blocks for as
    /// long as it takes to write a small file.
    ///
    /// # Errors
    /// The id is no name of a file, or the disk fails.
    pub fn hold(&self, image: &Image, container_id: &str) -> Result<(), HoldError> {
        self.0.disk.write_hold(container_id, &image.digest)?;
        self.0.disk.touch(&image.digest);
        self.0.state().hold(container_id, image.digest.clone());
        Ok(())
    }

    /// A container is gone.
    ///
    /// # Errors
    /// The disk fails.
    pub fn release(&self, container_id: &str) -> Result<(), HoldError> {
        let Some(digest) = self.0.state().release(container_id) else { return Ok(()) };
        self.0.disk.touch(&digest);
        self.0.disk.remove_hold(container_id)
    }

    /// Which container holds what; some of them an earlier process started.
    pub fn holds(&self) -> BTreeMap<String, Digest> {
        self.0.state().holds().clone()
    }

    /// Removes a name, and its image when it was the last one; or an image by
    /// its digest, with all names.
    ///
    /// # Errors
    /// Nothing has the name, or containers hold the image.
    pub async fn remove(&self, name: &str) -> Result<Digest, RemoveError> {
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        blocking(move || remove::remove(&inner, &name)).await
    }

    /// Removes images that nobody holds, longest unused first, until so many
    /// bytes are free that were not.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn collect(&self, needed_bytes: u64) -> Result<Collected, Error> {
        let inner = Arc::clone(&self.0);
        blocking(move || remove::collect(&inner, needed_bytes)).await
    }

    /// Removes images while the disk is fuller than it should be. Never ends.
    pub async fn tend(&self, pressure: Pressure) {
        pressure::tend(&self.0, pressure).await;
    }
}

/// Runs what touches the disk beside the asynchronous tasks.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<std::io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

#[cfg(test)]
mod tests;
