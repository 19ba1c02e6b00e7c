//! Makes an image out of its parts, wherever they come from.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, stream};
use tokio::sync::watch;

use super::disk::{Space, millis};
use super::layers::{self, Coming, Counter, Wanted};
use super::pins::Pins;
use super::record::Record;
use super::source::Source;
use super::{Error, Image, Inner, blocking, remove};
use crate::digest::Digest;
use crate::manifest::{Described, Manifest};
use crate::progress::{Phase, Progress};
use crate::reference::Reference;

/// How often progress is told.
const PERIOD: Duration = Duration::from_millis(200);

/// A packed image becomes about so many times larger.
const UNPACKED_RATIO: u64 = 3;

/// An image to install.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) source: Source,
    /// Of the manifest.
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) names: Vec<Reference>,
    /// What the names stand for, if it is more than this image.
    pub(super) named: Digest,
}

/// An image that is whole.
pub(super) fn image(store: &Arc<Inner>, digest: &Digest) -> Option<Image> {
    let record = store.state().images.get(digest)?.clone();
    let pins = Pins::new(store, &record.layers);
    // It may have gone before it was pinned.
    if !store.state().images.contains_key(digest) {
        return None;
    }
    Some(made(store, record, pins))
}

fn made(store: &Inner, record: Record, pins: Arc<Pins>) -> Image {
    let Record { digest, config, layers, pulled_ms: _ } = record;
    let layers = layers.iter().rev().map(|chain| store.disk.layer(chain)).collect();
    Image { digest, config, layers, _pins: pins }
}

pub(super) async fn install(
    store: &Arc<Inner>,
    order: Order,
    progress: &watch::Sender<Progress>,
) -> Result<Image, Error> {
    if let Some(image) = image(store, &order.digest) {
        name(store, &order).await?;
        return Ok(image);
    }
    let bytes = order.source.small(&order.manifest.config).await?;
    let platform = &store.settings.platform;
    let Described { config, diffs } =
        Described::parse(&bytes, order.manifest.layers.len(), platform)?;
    let wanted = wanted(&order.manifest, &diffs);
    let chains: Vec<Digest> = wanted.iter().map(|layer| layer.chain.clone()).collect();
    // From here on nobody removes what is there of it.
    let pins = Pins::new(store, &chains);
    make_room(store, &wanted).await?;
    fetch(store, &order.source, &wanted, progress).await?;
    let record = Record {
        digest: order.digest.clone(),
        config,
        layers: chains,
        pulled_ms: millis(SystemTime::now()),
    };
    keep(store, &order, record.clone()).await?;
    Ok(made(store, record, pins))
}

fn wanted(manifest: &Manifest, diffs: &[Digest]) -> Vec<Wanted> {
    let mut below = None;
    let mut wanted: Vec<Wanted> = Vec::new();
    for (blob, diff) in manifest.layers.iter().zip(diffs) {
        let chain = Digest::chained(below.as_ref(), diff);
        below = Some(chain.clone());
        wanted.push(Wanted { blob: blob.clone(), diff: diff.clone(), chain });
    }
    wanted
}

/// Images that nobody uses go for one that somebody wants.
async fn make_room(store: &Arc<Inner>, wanted: &[Wanted]) -> Result<(), Error> {
    let limits = store.settings.limits;
    let bytes = {
        let state = store.state();
        let missing = wanted.iter().filter(|layer| !state.layers.contains_key(&layer.chain));
        missing.fold(0_u64, |sum, layer| sum.saturating_add(layer.blob.size))
    };
    if bytes > limits.bytes_max {
        return Err(Error::TooLarge { bytes, bytes_max: limits.bytes_max });
    }
    let kept_bytes = limits.free_bytes_min;
    let inner = Arc::clone(store);
    blocking(move || {
        let likely = bytes.saturating_mul(1 + UNPACKED_RATIO).saturating_add(kept_bytes);
        let Space { free_bytes, .. } = inner.disk.space()?;
        if free_bytes < likely {
            remove::collect(&inner, likely - free_bytes)?;
        }
        let Space { free_bytes, .. } = inner.disk.space()?;
        if bytes > 0 && free_bytes < bytes.saturating_add(kept_bytes) {
            return Err(Error::DiskFull { bytes, free_bytes, kept_bytes });
        }
        Ok(())
    })
    .await
}

/// A layer that is there, or comes.
struct Layer<'a> {
    wanted: &'a Wanted,
    coming: Option<(Coming, Arc<Counter>)>,
}

async fn fetch(
    store: &Arc<Inner>,
    source: &Source,
    wanted: &[Wanted],
    progress: &watch::Sender<Progress>,
) -> Result<(), Error> {
    let missing = |wanted: &Wanted| !store.state().layers.contains_key(&wanted.chain);
    let layers: Vec<Layer<'_>> = wanted
        .iter()
        .map(|wanted| {
            let coming = missing(wanted).then(|| layers::fetch(store, source, wanted));
            Layer { wanted, coming }
        })
        .collect();
    let placed = place(store, &layers);
    tokio::pin!(placed);
    let mut clock = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            done = &mut placed => return done,
            _ = clock.tick() => { progress.send_if_modified(|old| replace(old, seen(&layers))); }
        }
    }
}

fn replace(old: &mut Progress, new: Progress) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}

fn seen(layers: &[Layer<'_>]) -> Progress {
    let mut progress = Progress { layers_total: layers.len(), ..Progress::default() };
    let mut fetched = true;
    for layer in layers {
        let Some((_, counter)) = &layer.coming else {
            progress.layers_done += 1;
            continue;
        };
        let size = layer.wanted.blob.size;
        progress.bytes_total += size;
        progress.bytes_done += counter.bytes.load(Ordering::Relaxed).min(size);
        progress.layers_done += usize::from(counter.unpacked.load(Ordering::Relaxed));
        fetched &= counter.fetched.load(Ordering::Relaxed);
    }
    progress.phase = if fetched { Phase::Unpacking } else { Phase::Fetching };
    progress
}

/// All layers come at once; they are put into their places from below.
async fn place(store: &Arc<Inner>, layers: &[Layer<'_>]) -> Result<(), Error> {
    let coming = layers.iter().filter_map(|layer| layer.coming.as_ref());
    let flights: Vec<Coming> = coming.map(|(flight, _)| flight.clone()).collect();
    let mut ready = stream::iter(flights).buffered(layers.len().max(1));
    let mut lowers: Vec<PathBuf> = Vec::new();
    let mut bytes_left = store.settings.limits.bytes_max;
    for layer in layers {
        let chain = &layer.wanted.chain;
        let bytes = match &layer.coming {
            None => store.state().layers.get(chain).map_or(0, |known| known.bytes),
            Some(_) => {
                let Some(ready) = ready.next().await else { break };
                let ready = ready.map_err(Error::Shared)?;
                layers::place(store, layer.wanted, ready, lowers.clone(), bytes_left).await?
            }
        };
        let bytes_max = store.settings.limits.bytes_max;
        bytes_left = bytes_left
            .checked_sub(bytes)
            .ok_or(Error::TooLarge { bytes: bytes_max - bytes_left + bytes, bytes_max })?;
        lowers.insert(0, store.disk.layer(chain));
    }
    Ok(())
}

/// Writes an image down, after its layers are on the disk.
async fn keep(store: &Arc<Inner>, order: &Order, record: Record) -> Result<(), Error> {
    let inner = Arc::clone(store);
    blocking(move || {
        inner.disk.sync()?;
        inner.disk.write(&inner.disk.image(&record.digest), &record)?;
        inner.state().images.insert(record.digest.clone(), record);
        Ok::<_, Error>(())
    })
    .await?;
    name(store, order).await
}

async fn name(store: &Arc<Inner>, order: &Order) -> Result<(), Error> {
    let inner = Arc::clone(store);
    let (names, digest, named) = (order.names.clone(), order.digest.clone(), order.named.clone());
    blocking(move || {
        let mut state = inner.state();
        let before = state.names.clone();
        for name in &names {
            state.set_name(name, &digest, &named);
        }
        if state.names != before {
            inner.disk.write(&inner.disk.names(), &state.names)?;
        }
        Ok(())
    })
    .await
}
