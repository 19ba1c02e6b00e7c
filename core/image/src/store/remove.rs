//! Removes images.

use std::collections::BTreeSet;
use std::io;

use super::collect::{Collected, Plan, plan};
use super::record::Record;
use super::state::State;
use super::{Error, Inner, RemoveError};
use crate::digest::Digest;
use crate::reference::Reference;

/// Does it, and waits until the bytes are free.
pub(super) fn collect(store: &Inner, needed_bytes: u64) -> Result<Collected, Error> {
    let plan = {
        let mut state = store.state();
        let sizes = state.layers.iter().map(|(id, layer)| (id.clone(), layer.bytes)).collect();
        let candidates = state.candidates(&store.disk);
        let plan = plan(&candidates, &sizes, |layer| state.is_pinned(layer), needed_bytes);
        carry_out(store, &mut state, &plan)?;
        plan
    };
    store.disk.sweep();
    Ok(Collected { images: plan.images, freed_bytes: plan.freed_bytes })
}

/// Removes one name or one image.
pub(super) fn remove(store: &Inner, name: &str) -> Result<Digest, RemoveError> {
    let digest = {
        let mut state = store.state();
        let (digest, reference) = find(&state, name)?;
        if let Some(reference) = &reference {
            state.names.0.remove(&reference.to_string());
            if !state.names_of(&digest).is_empty() {
                store.disk.write(&store.disk.names(), &state.names)?;
                return Ok(digest);
            }
        }
        remove_image(store, &mut state, &digest)?;
        digest
    };
    store.disk.sweep();
    Ok(digest)
}

/// The digest, and the name if it is one.
fn find(state: &State, name: &str) -> Result<(Digest, Option<Reference>), RemoveError> {
    let known = |digest: &Digest| state.images.contains_key(digest);
    if let Some(digest) = name.parse().ok().filter(known) {
        return Ok((digest, None));
    }
    let reference = name.parse::<Reference>().ok();
    let found = reference.and_then(|reference| {
        let digest = state.digest_of(&reference)?;
        let named = state.names.0.contains_key(&reference.to_string());
        Some((digest, named.then_some(reference)))
    });
    let (digest, reference) =
        found.ok_or_else(|| RemoveError::NotFound { name: name.chars().take(256).collect() })?;
    // Looked at before anything changes.
    let last = reference.is_none() || state.names_of(&digest).len() <= 1;
    if last {
        check_unused(state, &digest)?;
    }
    Ok((digest, reference))
}

fn check_unused(state: &State, digest: &Digest) -> Result<(), RemoveError> {
    let holders = state.holders(digest);
    if !holders.is_empty() {
        return Err(RemoveError::Held { holders });
    }
    match state.images.get(digest) {
        Some(record) if state.is_image_pinned(record) => Err(RemoveError::Pinned),
        _ => Ok(()),
    }
}

fn remove_image(store: &Inner, state: &mut State, digest: &Digest) -> Result<(), RemoveError> {
    check_unused(state, digest)?;
    let mut layers: BTreeSet<Digest> = state
        .images
        .get(digest)
        .map(|record| record.layers.iter().cloned().collect())
        .unwrap_or_default();
    let others = state.images.values().filter(|record| record.digest != *digest);
    for layer in others.flat_map(|record| &record.layers) {
        layers.remove(layer);
    }
    layers.retain(|layer| !state.is_pinned(layer));
    let layers = layers.into_iter().collect();
    let plan = Plan { images: vec![digest.clone()], layers, freed_bytes: 0 };
    Ok(carry_out(store, state, &plan)?)
}

/// Records go before what they name, so that nobody finds a half image.
fn carry_out(store: &Inner, state: &mut State, plan: &Plan) -> io::Result<()> {
    let disk = &store.disk;
    if !plan.images.is_empty() {
        state.names.0.retain(|_, named| !plan.images.contains(&named.image));
        disk.write(&disk.names(), &state.names)?;
    }
    for digest in &plan.images {
        std::fs::remove_file(disk.image(digest)).or_else(absent)?;
        let _forgotten: Option<Record> = state.images.remove(digest);
    }
    for layer in &plan.layers {
        state.layers.remove(layer);
        std::fs::remove_file(disk.layer_record(layer)).or_else(absent)?;
        disk.discard(&disk.layer(layer))?;
    }
    Ok(())
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
