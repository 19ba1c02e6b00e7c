//! What is known of the folder without looking at it.

use std::collections::BTreeMap;

use super::Listed;
use super::collect::Candidate;
use super::disk::Disk;
use super::record::{LayerRecord, Named, Names, Record};
use crate::digest::Digest;
use crate::reference::Reference;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) images: BTreeMap<Digest, Record>,
    pub(super) names: Names,
    pub(super) layers: BTreeMap<Digest, LayerRecord>,
    holds: BTreeMap<String, Digest>,
    /// How many look at a layer.
    pins: BTreeMap<Digest, usize>,
}

impl State {
    pub(super) fn new(
        images: BTreeMap<Digest, Record>,
        names: Names,
        layers: BTreeMap<Digest, LayerRecord>,
        holds: BTreeMap<String, Digest>,
    ) -> Self {
        Self { images, names, layers, holds, pins: BTreeMap::new() }
    }

    pub(super) fn digest_of(&self, reference: &Reference) -> Option<Digest> {
        let Names(names) = &self.names;
        if let Some(named) = names.get(&reference.to_string()) {
            return Some(named.image.clone());
        }
        // By its digest an image is the same under every name.
        let digest = reference.digest()?;
        self.images.get(digest).map(|record| record.digest.clone())
    }

    pub(super) fn names_of(&self, digest: &Digest) -> Vec<Reference> {
        let Names(names) = &self.names;
        let own = names.iter().filter(|(_, named)| named.image == *digest);
        own.filter_map(|(name, _)| name.parse().ok()).collect()
    }

    pub(super) fn set_name(&mut self, name: &Reference, image: &Digest, source: &Digest) {
        let named = Named { image: image.clone(), source: source.clone() };
        self.names.0.insert(name.to_string(), named);
    }

    pub(super) fn bytes_of(&self, record: &Record) -> u64 {
        let bytes = |chain| self.layers.get(chain).map_or(0, |layer| layer.bytes);
        record.layers.iter().map(bytes).sum()
    }

    pub(super) fn holders(&self, digest: &Digest) -> Vec<String> {
        let holders = self.holds.iter().filter(|(_, held)| *held == digest);
        holders.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn holds(&self) -> &BTreeMap<String, Digest> {
        &self.holds
    }

    pub(super) fn hold(&mut self, container_id: &str, digest: Digest) {
        self.holds.insert(container_id.to_owned(), digest);
    }

    pub(super) fn release(&mut self, container_id: &str) -> Option<Digest> {
        self.holds.remove(container_id)
    }

    pub(super) fn pin(&mut self, layers: &[Digest]) {
        for layer in layers {
            *self.pins.entry(layer.clone()).or_default() += 1;
        }
    }

    pub(super) fn unpin(&mut self, layers: &[Digest]) {
        for layer in layers {
            if let Some(count) = self.pins.get_mut(layer) {
                *count -= 1;
                if *count == 0 {
                    self.pins.remove(layer);
                }
            }
        }
    }

    pub(super) fn is_pinned(&self, layer: &Digest) -> bool {
        self.pins.contains_key(layer)
    }

    /// An image without layers cannot be told by them, and costs nothing.
    pub(super) fn is_image_pinned(&self, record: &Record) -> bool {
        record.layers.last().is_some_and(|top| self.is_pinned(top))
    }

    pub(super) fn listed(&self, disk: &Disk) -> Vec<Listed> {
        let listed = |record: &Record| Listed {
            digest: record.digest.clone(),
            names: self.names_of(&record.digest),
            bytes: self.bytes_of(record),
            pulled_ms: record.pulled_ms,
            used_ms: disk.used_ms(&record.digest),
            holders: self.holders(&record.digest),
        };
        self.images.values().map(listed).collect()
    }

    pub(super) fn candidates(&self, disk: &Disk) -> Vec<Candidate> {
        let candidate = |record: &Record| Candidate {
            digest: record.digest.clone(),
            used_ms: disk.used_ms(&record.digest),
            kept: self.is_image_pinned(record)
                || self.holds.values().any(|held| *held == record.digest),
            layers: record.layers.clone(),
        };
        self.images.values().map(candidate).collect()
    }
}
