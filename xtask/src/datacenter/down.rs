//! From nodes to nothing. Works on whatever an interrupted command left.

use std::fs;

use anyhow::{Context as _, Result};

use super::cgroups::Hierarchies;
use super::node;
use super::room::Room;
use crate::process::say;

pub(crate) fn run(room: &Room) -> Result<()> {
    if !room.folder.exists() && !room.netns().exists() {
        say(&format!("there is no datacenter '{}'", room.name));
        return Ok(());
    }
    let _lock = room.lock()?;
    let groups = Hierarchies::detect()?;
    // One whose description is damaged has nodes all the same.
    let nodes = room.load().ok().flatten().map(|state| state.nodes).unwrap_or_default();
    node::kill_all(room, &nodes, None, &groups)?;
    room.remove_network()?;
    groups.remove(&room.name, None)?;
    for node in &nodes {
        node::forget(room, node);
    }
    fs::remove_dir_all(&room.folder)
        .with_context(|| format!("cannot remove {}", room.folder.display()))?;
    if let Some(parent) = room.folder.parent() {
        // Not while there are others.
        drop(fs::remove_dir(parent));
    }
    say(&format!("the datacenter '{}' is gone", room.name));
    Ok(())
}
