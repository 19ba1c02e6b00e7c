//! Takes archives of images in pieces, because servers refuse large bodies.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Failed, Image, Inner, Store, blocking};
use crate::reference::Reference;

/// Archives that come at the same time; the one that stood still for longest
/// goes for another.
const UPLOADS_MAX: usize = 8;
const ID_BYTES_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("'{id}' is no name of an upload: up to {ID_BYTES_MAX} letters and digits")]
    Id { id: String },
    #[error("the upload has {bytes} bytes, so the next piece begins there, not at {offset}")]
    Offset { bytes: u64, offset: u64 },
    #[error("the upload is larger than {bytes_max} bytes, which is the limit")]
    TooLarge { bytes_max: u64 },
    #[error("the disk would be left with less than {} MiB", free_bytes_min >> 20)]
    DiskFull { free_bytes_min: u64 },
    #[error("cannot keep the upload")]
    Disk(#[from] io::Error),
}

impl Store {
    /// Adds a piece to an archive; the first begins at 0. Returns how much is
    /// there.
    ///
    /// # Errors
    /// The piece does not follow the last, or does not fit.
    pub async fn upload(
        &self,
        id: &str,
        offset: u64,
        piece: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<u64, UploadError> {
        let (inner, path) = (Arc::clone(&self.0), self.0.upload(id)?);
        blocking(move || append(&inner, &path, offset, piece.as_ref())).await
    }

    /// Loads an archive that has been uploaded, which then goes.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub async fn load_upload(
        &self,
        id: &str,
        name: Option<&Reference>,
    ) -> Result<Vec<Image>, LoadError> {
        let path = self.0.upload(id)?;
        let loaded = self.load_as(&path, name).await;
        blocking(move || fs::remove_file(path).map_err(UploadError::from)).await?;
        Ok(loaded?)
    }
}

/// Why an upload was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Load(#[from] Failed),
}

impl Inner {
    fn upload(&self, id: &str) -> Result<PathBuf, UploadError> {
        let plain = !id.is_empty()
            && id.len() <= ID_BYTES_MAX
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain {
            Ok(self.disk.folder("uploads").join(id))
        } else {
            Err(UploadError::Id { id: id.chars().take(ID_BYTES_MAX).collect() })
        }
    }
}

fn append(store: &Inner, path: &PathBuf, offset: u64, piece: &[u8]) -> Result<u64, UploadError> {
    if offset == 0 {
        make_room(store, path)?;
    }
    let mut file = File::options().create(offset == 0).append(false).write(true).open(path)?;
    if offset == 0 {
        file.set_len(0)?;
    }
    let bytes = file.seek(SeekFrom::End(0))?;
    if bytes != offset {
        return Err(UploadError::Offset { bytes, offset });
    }
    let super::Limits { bytes_max, free_bytes_min, .. } = store.settings.limits;
    let whole = bytes.saturating_add(piece.len() as u64);
    if whole > bytes_max {
        return Err(UploadError::TooLarge { bytes_max });
    }
    if store.disk.space()?.free_bytes < free_bytes_min.saturating_add(piece.len() as u64) {
        return Err(UploadError::DiskFull { free_bytes_min });
    }
    file.write_all(piece)?;
    Ok(whole)
}

fn make_room(store: &Inner, path: &PathBuf) -> io::Result<()> {
    let mut others = Vec::new();
    for entry in fs::read_dir(store.disk.folder("uploads"))? {
        let entry = entry?;
        if entry.path() != *path {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    let excess = (others.len() + 1).saturating_sub(UPLOADS_MAX);
    others.into_iter().take(excess).try_for_each(|(_, path)| fs::remove_file(path))
}
