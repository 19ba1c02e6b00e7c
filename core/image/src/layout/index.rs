//! `index.json` of an OCI layout.

use std::collections::BTreeMap;

use super::{Error, Layout, Listed, saved};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Document, Manifest, Platform};
use crate::reference::Reference;

/// Indexes may point to indexes; this deep.
const DEPTH_MAX: usize = 3;

const NAME: &str = "io.containerd.image.name";
const TAG_OR_NAME: &str = "org.opencontainers.image.ref.name";
/// Marks what is said about images, and is none.
const ABOUT: &str = "vnd.docker.reference.type";

/// Every image of the index that is for this platform.
pub(super) fn read(
    layout: &Layout,
    index: &[u8],
    saved: Option<&[u8]>,
    platform: &Platform,
) -> Result<Vec<Listed>, Error> {
    let names = match saved {
        Some(saved) => saved::names(saved)?,
        None => BTreeMap::new(),
    };
    let Document::Index(entries) = Document::parse(index)? else { return Err(Error::Empty) };
    let mut listed: Vec<Listed> = Vec::new();
    let mut refused = None;
    for entry in entries.iter().filter(|entry| !entry.annotations.contains_key(ABOUT)) {
        match one(layout, entry, platform) {
            Ok((digest, manifest)) => {
                let mut found: Vec<Reference> = name(entry).into_iter().collect();
                found
                    .extend(names.get(manifest.config.digest.hex()).into_iter().flatten().cloned());
                add(&mut listed, Listed { digest, manifest, names: found });
            }
            // Of another platform; the rest may be of this one.
            Err(Error::Manifest(error @ manifest::Error::Platform { .. })) => {
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if listed.is_empty() => Err(error.into()),
        _ => Ok(listed),
    }
}

/// One image may be listed under several names.
fn add(listed: &mut Vec<Listed>, new: Listed) {
    match listed.iter_mut().find(|known| known.digest == new.digest) {
        Some(known) => known.names.extend(new.names),
        None => listed.push(new),
    }
    for known in listed {
        known.names.sort();
        known.names.dedup();
    }
}

fn one(
    layout: &Layout,
    entry: &Descriptor,
    platform: &Platform,
) -> Result<(Digest, Manifest), Error> {
    let mut entry = platform.choose(std::slice::from_ref(entry))?.clone();
    for _ in 0..DEPTH_MAX {
        match Document::parse(&layout.small(&entry)?)? {
            Document::Manifest(manifest) => return Ok((entry.digest, manifest)),
            Document::Index(entries) => entry = platform.choose(&entries)?.clone(),
        }
    }
    Err(manifest::Error::Syntax { problem: "indexes lie too deep in indexes".to_owned() }.into())
}

/// A lone tag names no image.
fn name(entry: &Descriptor) -> Option<Reference> {
    let whole = entry.annotations.get(NAME);
    let perhaps = entry.annotations.get(TAG_OR_NAME).filter(|text| text.contains(['/', ':']));
    whole.or(perhaps)?.parse().ok()
}
