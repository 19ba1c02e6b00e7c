//! Manifests, indexes and configurations of images, of OCI and of Docker's
//! second schema. Pure: bytes in, values or a reason out.
#![deny(clippy::disallowed_methods)]

mod config;
mod platform;

use serde::{Deserialize, Serialize};

pub use config::{Config, Described};
pub use platform::Platform;

use crate::digest::Digest;

/// The largest manifest, index or configuration that is looked at. Registries
/// refuse larger ones.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The kernel stacks no more than 500 in one overlay, and Docker makes 127.
pub const LAYERS_MAX: usize = 256;

/// Entries of an index that are looked at.
const ENTRIES_MAX: usize = 1024;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry may answer with.
pub const ACCEPT: &str = concat!(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json"
);

/// Points to content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

pub type Annotations = std::collections::BTreeMap<String, String>;

/// One image: its configuration and its layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// What lies behind a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Manifest(Manifest),
    /// The same for several platforms.
    Index(Vec<Descriptor>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the manifest is not understood: {problem}")]
    Syntax { problem: String },
    #[error("the manifest is of Docker's first schema, which is no longer read; push it again")]
    FirstSchema,
    #[error("the manifest has both layers and manifests, so it could be read in two ways")]
    Ambiguous,
    #[error("the manifest has neither layers nor manifests")]
    Neither,
    #[error("the manifest calls itself {claimed}, which it is not")]
    MediaType { claimed: String },
    #[error("the content is a {found}, not an image")]
    NoImage { found: String },
    #[error("the image has {count} layers; at most {LAYERS_MAX} can be stacked")]
    TooManyLayers { count: usize },
    #[error("the index has {count} entries; at most {ENTRIES_MAX} are looked at")]
    TooManyEntries { count: usize },
    #[error("a layer is a {found}, which cannot be unpacked")]
    Layer { found: String },
    #[error("the image is for {offered}; this machine is {wanted}")]
    Platform { offered: String, wanted: Platform },
    #[error("the configuration of the image is not understood: {problem}")]
    Config { problem: String },
    #[error("the image has {layers} layers, but its configuration names {named}")]
    LayerCount { layers: usize, named: usize },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads what a registry or a folder has under a name. What it says of
    /// itself must agree with what it is.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|error| Error::Syntax { problem: error.to_string() })?;
        let Raw { schema_version, media_type, config, layers, manifests, fs_layers } = raw;
        if schema_version == Some(1) || fs_layers.is_some() {
            return Err(Error::FirstSchema);
        }
        let claims = |types: [&str; 2]| match &media_type {
            Some(claimed) if !types.contains(&claimed.as_str()) => {
                Err(Error::MediaType { claimed: claimed.clone() })
            }
            _ => Ok(()),
        };
        match (config, layers, manifests) {
            (None, None, Some(entries)) => {
                claims([OCI_INDEX, DOCKER_INDEX])?;
                index(entries)
            }
            (Some(config), Some(layers), None) => {
                claims([OCI_MANIFEST, DOCKER_MANIFEST])?;
                manifest(config, layers)
            }
            (_, _, Some(_)) => Err(Error::Ambiguous),
            _ => Err(Error::Neither),
        }
    }
}

fn index(entries: Vec<Descriptor>) -> Result<Document, Error> {
    let count = entries.len();
    if count > ENTRIES_MAX {
        Err(Error::TooManyEntries { count })
    } else {
        Ok(Document::Index(entries))
    }
}

fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Result<Document, Error> {
    let image = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ];
    if !image.contains(&config.media_type.as_str()) {
        return Err(Error::NoImage { found: config.media_type });
    }
    if layers.len() > LAYERS_MAX {
        return Err(Error::TooManyLayers { count: layers.len() });
    }
    for layer in &layers {
        check_layer(&layer.media_type)?;
    }
    Ok(Document::Manifest(Manifest { config, layers }))
}

/// How a layer is packed is seen from its first bytes; its type says that it is
/// a layer at all, and not encrypted.
fn check_layer(media_type: &str) -> Result<(), Error> {
    let kind = media_type
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| {
            media_type.strip_prefix("application/vnd.oci.image.layer.nondistributable.v1.tar")
        })
        .or_else(|| media_type.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"))
        .or_else(|| {
            media_type.strip_prefix("application/vnd.docker.image.rootfs.foreign.diff.tar")
        });
    match kind {
        Some("" | "+gzip" | ".gzip" | "+zstd" | ".zstd") => Ok(()),
        _ => Err(Error::Layer { found: media_type.to_owned() }),
    }
}

impl Platform {
    /// The best entry of an index for this platform.
    pub fn choose<'a>(&self, entries: &'a [Descriptor]) -> Result<&'a Descriptor, Error> {
        let fits = entries.iter().enumerate().filter_map(|(at, entry)| {
            let rank = self.rank(entry.platform.as_ref())?;
            Some((rank, at, entry))
        });
        // The first of equals, as everybody does.
        let best = fits.min_by_key(|(rank, at, _)| (*rank, *at));
        best.map(|(_, _, entry)| entry)
            .ok_or_else(|| Error::Platform { offered: offered(entries), wanted: self.clone() })
    }
}

fn offered(entries: &[Descriptor]) -> String {
    let named = |entry: &Descriptor| entry.platform.as_ref().map(ToString::to_string);
    // Attestations are listed under a platform that nobody has.
    let mut names: Vec<String> =
        entries.iter().filter_map(named).filter(|name| !name.starts_with("unknown/")).collect();
    names.dedup();
    names.truncate(16);
    if names.is_empty() { "no platform at all".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
