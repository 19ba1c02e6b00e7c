//! Fetches and unpacks layers, all at once, and puts them into their places one
//! after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::FutureExt as _;
use tracing::debug;

use super::disk::Work;
use super::record::LayerRecord;
use super::source::{Packed, Source};
use super::{Error, Inner, blocking, open};
use crate::digest::Digest;
use crate::flights::Flight;
use crate::manifest::Descriptor;
use crate::unpack::{self, Limits, Stop, Unpacked};

/// A layer of an image that is to come.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) blob: Descriptor,
    pub(super) diff: Digest,
    pub(super) chain: Digest,
}

/// How far a layer is.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Of the packed layer.
    pub(super) bytes: Arc<AtomicU64>,
    pub(super) fetched: AtomicBool,
    pub(super) unpacked: AtomicBool,
}

/// Unpacked, and not in its place yet.
#[derive(Debug)]
pub(super) struct Ready {
    work: Work,
    unpacked: Unpacked,
}

pub(super) type Coming = Flight<Result<Arc<Ready>, Arc<Error>>>;

/// Inside of the folder of work, which is removed as a whole.
const FOLDER: &str = "layer";

impl Ready {
    fn folder(&self) -> PathBuf {
        self.work.path().join(FOLDER)
    }
}

/// Joins whoever fetches the same layer on top of the same others.
pub(super) fn fetch(store: &Arc<Inner>, source: &Source, layer: &Wanted) -> (Coming, Arc<Counter>) {
    store.layers.join(layer.chain.clone(), || {
        let counter = Arc::new(Counter::default());
        let work = run(Arc::clone(store), source.clone(), layer.clone(), Arc::clone(&counter));
        (work.map(|done| done.map(Arc::new).map_err(Arc::new)).boxed(), counter)
    })
}

async fn run(
    store: Arc<Inner>,
    source: Source,
    layer: Wanted,
    counter: Arc<Counter>,
) -> Result<Ready, Error> {
    let inner = Arc::clone(&store);
    let work = blocking(move || {
        let work = inner.disk.work()?;
        std::fs::DirBuilder::new().create(work.path().join(FOLDER))?;
        Ok::<_, Error>(work)
    })
    .await?;
    let packed = {
        let _turn = store.downloads.acquire().await.map_err(std::io::Error::other)?;
        source.layer(&layer.blob, &work, &counter).await?
    };
    counter.fetched.store(true, Ordering::Relaxed);
    let _turn = store.unpacks.acquire().await.map_err(std::io::Error::other)?;
    let unpacked = unpack(&store, &work, packed, &layer, &counter).await?;
    counter.unpacked.store(true, Ordering::Relaxed);
    Ok(Ready { work, unpacked })
}

async fn unpack(
    store: &Inner,
    work: &Work,
    packed: Packed,
    layer: &Wanted,
    counter: &Counter,
) -> Result<Unpacked, Error> {
    let Packed { archive, unchecked, is_local } = packed;
    let stop = Stop::default();
    // When nobody waits any more this is dropped, and the work ends.
    let _guard = stop.guard();
    // What came over the network was counted then.
    let seen = if is_local { Arc::clone(&counter.bytes) } else { Arc::default() };
    let job = unpack::LayerJob {
        archive,
        folder: work.path().join(FOLDER),
        packed: unchecked,
        diff: layer.diff.algorithm(),
        limits: store.settings.limits,
        stop,
        seen,
    };
    let digest = layer.blob.digest.clone();
    let named = digest.clone();
    let packed = work.path().join("packed");
    let unpacked = blocking(move || {
        let failed = |source| Error::Layer { digest: named, source };
        let unpacked = unpack::unpack(job).map_err(failed)?;
        // Not needed any more; its room is.
        let _local = std::fs::remove_file(packed);
        Ok::<_, Error>(unpacked)
    })
    .await?;
    check(&digest, layer, &unpacked)?;
    if unpacked.devices_skipped > 0 {
        let devices = unpacked.devices_skipped;
        debug!(layer = %digest, devices, "devices that an image brings are left out");
    }
    Ok(unpacked)
}

fn check(digest: &Digest, layer: &Wanted, unpacked: &Unpacked) -> Result<(), Error> {
    if let Some(found) = unpacked.packed.as_ref().filter(|found| *found != digest) {
        return Err(Error::LayerDigest { wanted: digest.clone(), found: found.clone() });
    }
    match &unpacked.diff {
        Some(found) if *found != layer.diff => Err(Error::DiffDigest {
            digest: digest.clone(),
            wanted: layer.diff.clone(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}

/// Puts a layer into its place, on top of `lowers`, topmost first. Returns its
/// size.
pub(super) async fn place(
    store: &Arc<Inner>,
    layer: &Wanted,
    ready: Arc<Ready>,
    lowers: Vec<PathBuf>,
    bytes_left: u64,
) -> Result<u64, Error> {
    let _turn = store.placing.lock().await;
    // Another image that has it was first.
    if let Some(known) = store.state().layers.get(&layer.chain) {
        return Ok(known.bytes);
    }
    let (inner, layer) = (Arc::clone(store), layer.clone());
    blocking(move || {
        let limits = Limits { bytes_max: bytes_left, ..inner.settings.limits };
        let borrowed = unpack::settle(&ready.folder(), &ready.unpacked, &lowers, limits)
            .map_err(|source| Error::Layer { digest: layer.blob.digest.clone(), source })?;
        let bytes = ready.unpacked.disk_bytes() + borrowed;
        let boot_id = open::boot_id();
        let record = LayerRecord { chain: layer.chain.clone(), bytes, boot_id };
        let disk = &inner.disk;
        std::fs::rename(ready.folder(), disk.layer(&layer.chain))?;
        disk.write(&disk.layer_record(&layer.chain), &record)?;
        inner.state().layers.insert(layer.chain, record);
        Ok(bytes)
    })
    .await
}
