//! Decides which images go when room is needed. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use crate::digest::Digest;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub images: Vec<Digest>,
    pub freed_bytes: u64,
}

/// An image that might go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) used_ms: u64,
    /// A container runs from it, or is about to.
    pub(super) kept: bool,
    pub(super) layers: Vec<Digest>,
}

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) images: Vec<Digest>,
    pub(super) layers: Vec<Digest>,
    pub(super) freed_bytes: u64,
}

/// Layers of no image first, then images, longest unused first, until enough is
/// freed. A layer goes with the last image that has it.
pub(super) fn plan(
    candidates: &[Candidate],
    layers: &BTreeMap<Digest, u64>,
    is_pinned: impl Fn(&Digest) -> bool,
    needed_bytes: u64,
) -> Plan {
    let mut uses: BTreeMap<&Digest, usize> = layers.keys().map(|layer| (layer, 0)).collect();
    for layer in candidates.iter().flat_map(|candidate| &candidate.layers) {
        *uses.entry(layer).or_default() += 1;
    }
    let mut plan = Plan::default();
    if needed_bytes == 0 {
        return plan;
    }
    for (layer, bytes) in layers {
        if uses.get(layer) == Some(&0) && !is_pinned(layer) {
            plan.layers.push(layer.clone());
            plan.freed_bytes += bytes;
        }
    }
    let mut order: Vec<&Candidate> = candidates.iter().filter(|image| !image.kept).collect();
    order.sort_by_key(|image| (image.used_ms, &image.digest));
    for image in order {
        if plan.freed_bytes >= needed_bytes {
            break;
        }
        plan.images.push(image.digest.clone());
        for layer in &image.layers {
            let left = uses.entry(layer).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 && !is_pinned(layer) {
                plan.layers.push(layer.clone());
                plan.freed_bytes += layers.get(layer).copied().unwrap_or_default();
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests;
