//! What the store writes down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Config;

/// Only the newest version is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
pub(super) enum Stored<T> {
    V1(T),
}

impl<T> Stored<T> {
    pub(super) fn newest(self) -> T {
        match self {
            Self::V1(value) => value,
        }
    }
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of its manifest.
    pub(super) digest: Digest,
    pub(super) config: Config,
    /// Chain ids, lowest first.
    pub(super) layers: Vec<Digest>,
    pub(super) pulled_ms: u64,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) chain: Digest,
    /// On the disk, about.
    pub(super) bytes: u64,
    /// The boot of the machine that wrote it.
    pub(super) boot_id: String,
}

/// By the whole name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names(pub(super) BTreeMap<String, Named>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// Of the image's manifest.
    pub(super) image: Digest,
    /// What the registry says, which may be an index of several platforms.
    pub(super) source: Digest,
}
