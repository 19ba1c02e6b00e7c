//! Opens a folder as an earlier process left it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::OpenError;
use super::disk::Disk;
use super::record::{LayerRecord, Names, Record};
use super::state::State;
use crate::digest::Digest;

pub(super) fn open(folder: &Path) -> Result<(Disk, State), OpenError> {
    let failed = |source| OpenError::Folder { path: folder.to_owned(), source };
    let disk = Disk::open(folder)
        .map_err(failed)?
        .ok_or_else(|| OpenError::InUse { path: folder.to_owned() })?;
    let state = read(&disk).map_err(failed)?;
    Ok((disk, state))
}

fn read(disk: &Disk) -> io::Result<State> {
    for name in ["work", "uploads"] {
        for path in entries(&disk.folder(name))? {
            disk.discard(&path)?;
        }
    }
    let mut layers = layers(disk)?;
    let images = images(disk, &layers)?;
    forget_strays(disk, &images, &mut layers)?;
    let Names(mut names) = disk.read(&disk.names())?.unwrap_or_default();
    names.retain(|_, named| images.contains_key(&named.image));
    let holds = holds(disk)?;
    for (container_id, digest) in &holds {
        if !images.contains_key(digest) {
            warn!(container_id, image = %digest, "the image of a container is not known any more");
        }
    }
    Ok(State::new(images, Names(names), layers, holds))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn records(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    Ok(entries(folder)?.into_iter().filter(json))
}

/// Layers that are there and whose record is.
fn layers(disk: &Disk) -> io::Result<BTreeMap<Digest, LayerRecord>> {
    let mut layers = BTreeMap::new();
    for path in records(&disk.folder("layers"))? {
        let Some(record) = disk.read::<LayerRecord>(&path)? else { continue };
        if disk.layer(&record.chain) == path.with_extension("") && path.with_extension("").is_dir()
        {
            layers.insert(record.chain.clone(), record);
        }
    }
    Ok(layers)
}

/// Images all of whose layers are there.
fn images(
    disk: &Disk,
    layers: &BTreeMap<Digest, LayerRecord>,
) -> io::Result<BTreeMap<Digest, Record>> {
    let mut images = BTreeMap::new();
    for path in records(&disk.folder("images"))? {
        let Some(record) = disk.read::<Record>(&path)? else { continue };
        if disk.image(&record.digest) == path
            && record.layers.iter().all(|id| layers.contains_key(id))
        {
            images.insert(record.digest.clone(), record);
        } else {
            warn!(image = %record.digest, "an image is forgotten, for not all of its layers are there");
            fs::remove_file(path)?;
        }
    }
    Ok(images)
}

/// Layers of no image are kept unless the machine may have lost parts of them;
/// folders that nobody wrote down are not.
fn forget_strays(
    disk: &Disk,
    images: &BTreeMap<Digest, Record>,
    layers: &mut BTreeMap<Digest, LayerRecord>,
) -> io::Result<()> {
    let used: BTreeSet<&Digest> = images.values().flat_map(|record| &record.layers).collect();
    let boot_id = boot_id();
    let known = layers.len();
    layers.retain(|id, layer| used.contains(id) || layer.boot_id == boot_id);
    let kept: BTreeSet<PathBuf> =
        layers.keys().flat_map(|id| [disk.layer(id), disk.layer_record(id)]).collect();
    for path in entries(&disk.folder("layers"))? {
        if !kept.contains(&path) {
            disk.discard(&path)?;
        }
    }
    if known > layers.len() {
        info!(count = known - layers.len(), "layers of pulls that did not end are forgotten");
    }
    Ok(())
}

fn holds(disk: &Disk) -> io::Result<BTreeMap<String, Digest>> {
    let mut holds = BTreeMap::new();
    for path in entries(&disk.folder("holds"))? {
        let id = path.file_name().and_then(|name| name.to_str()).map(ToOwned::to_owned);
        let digest = fs::read_to_string(&path)?.parse().ok();
        match id.zip(digest) {
            Some((id, digest)) => drop(holds.insert(id, digest)),
            None => warn!(file = %path.display(), "a hold on an image is not understood"),
        }
    }
    Ok(holds)
}

/// Another one after each start of the machine.
pub(super) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}
