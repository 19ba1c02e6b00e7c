//! `manifest.json` of `docker save`: configurations and layers by their paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Error, IMAGES_MAX, Layout, Listed};
use crate::digest::Digest;
use crate::manifest::{self, Annotations, DOCKER_MANIFEST, Descriptor, LAYERS_MAX, Manifest};
use crate::reference::Reference;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: PathBuf,
    repo_tags: Option<Vec<String>>,
    layers: Vec<PathBuf>,
}

/// What the configuration says of the layers, in their order.
#[derive(Deserialize)]
struct Config {
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<Digest>>,
}

type Places = BTreeMap<Digest, PathBuf>;

const NAME: &str = "manifest.json";

fn items(bytes: &[u8]) -> Result<Vec<Item>, Error> {
    let items: Vec<Item> = super::json(NAME, bytes)?;
    match items.len() {
        count if count > IMAGES_MAX => Err(Error::TooMany { count }),
        _ => Ok(items),
    }
}

fn tags(item: &Item) -> Vec<Reference> {
    item.repo_tags.iter().flatten().filter_map(|tag| tag.parse().ok()).collect()
}

/// Names by the digits of the configuration's digest.
pub(super) fn names(bytes: &[u8]) -> Result<BTreeMap<String, Vec<Reference>>, Error> {
    let named = |item: &Item| {
        let stem = item.config.file_stem()?.to_str()?.to_owned();
        Some((stem, tags(item)))
    };
    Ok(items(bytes)?.iter().filter_map(named).collect())
}

/// The images, with manifests made up for them, and where their parts are.
/// Layers are named after what they unpack to.
pub(super) fn read(layout: &Layout, bytes: &[u8]) -> Result<(Vec<Listed>, Places), Error> {
    let mut places = Places::new();
    let mut listed = Vec::new();
    for item in items(bytes)? {
        listed.push(one(layout, &item, &mut places)?);
    }
    Ok((listed, places))
}

fn one(layout: &Layout, item: &Item, places: &mut Places) -> Result<Listed, Error> {
    let count = item.layers.len();
    if count > LAYERS_MAX {
        return Err(manifest::Error::TooManyLayers { count }.into());
    }
    let bytes = layout.document(&item.config)?;
    let Config { rootfs } = super::json(&item.config.display().to_string(), &bytes)?;
    let diffs = rootfs.diff_ids.unwrap_or_default();
    if diffs.len() != count {
        return Err(manifest::Error::LayerCount { layers: count, named: diffs.len() }.into());
    }
    let config = descriptor(
        "application/vnd.docker.container.image.v1+json",
        Digest::of(&bytes),
        bytes.len() as u64,
    );
    places.insert(config.digest.clone(), item.config.clone());
    let mut layers = Vec::new();
    for (path, diff) in item.layers.iter().zip(diffs) {
        layers.push(layer(layout, path, diff, places)?);
    }
    let manifest = Manifest { config, layers };
    let digest = Digest::of(&written(&manifest));
    Ok(Listed { digest, manifest, names: tags(item) })
}

fn layer(
    layout: &Layout,
    path: &Path,
    diff: Digest,
    places: &mut Places,
) -> Result<Descriptor, Error> {
    let size = layout.size(path)?;
    places.insert(diff.clone(), path.to_owned());
    Ok(descriptor("application/vnd.docker.image.rootfs.diff.tar", diff, size))
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size, platform: None, annotations: Annotations::new() }
}

/// The same image saved twice gets the same name.
fn written(manifest: &Manifest) -> Vec<u8> {
    let Manifest { config, layers } = manifest;
    json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config,
        "layers": layers,
    })
    .to_string()
    .into_bytes()
}
