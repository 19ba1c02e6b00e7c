//! From nothing to nodes that wait for an installer.

use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::cgroups::Hierarchies;
use super::partition::Partitions;
use super::room::{CONFIG, KEY, Room, State};
use super::shape::{Node, Shape, config};
use super::{base, down, node};
use crate::process::{print, say};

pub(crate) fn run(room: &Room, shape: Shape) -> Result<()> {
    let nodes = shape.nodes()?;
    let lock = room.lock()?;
    match room.load()? {
        Some(state) if state.complete && room.netns().exists() => {
            ensure!(
                state.nodes == nodes,
                "the datacenter '{}' is up with other nodes; remove it first with: cargo xtask datacenter down --name {}",
                room.name,
                room.name
            );
            say(&format!("the datacenter '{}' is up already", room.name));
            return print(&welcome(room));
        }
        Some(_) => {
            say(&format!("what an interrupted command left of '{}' is removed", room.name));
            drop(lock);
            down::run(room)?;
        }
        None => drop(lock),
    }
    let _lock = room.lock()?;
    let base = base::provide()?;
    let started = Instant::now();
    let mut state = State { nodes, base, partitions: Partitions::default(), complete: false };
    // First of all, so that `down` finds whatever comes next.
    room.save(&state)?;
    make(room, &state)?;
    state.complete = true;
    room.save(&state)?;
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{} nodes are up after {seconds:.1} s", state.nodes.len()));
    print(&welcome(room))
}

fn make(room: &Room, state: &State) -> Result<()> {
    let groups = Hierarchies::detect()?;
    room.create_network()?;
    node::key_pair(&room.folder.join(KEY), &room.name.to_string())?;
    at_once(&state.nodes, |node| {
        node::create(room, &state.base, node)?;
        node::boot(room, &state.base, node, &groups)
    })?;
    node::known_hosts(room, &state.nodes)?;
    let path = room.folder.join(CONFIG);
    fs::write(&path, config(&room.name, &state.nodes, KEY))
        .with_context(|| format!("cannot write {}", path.display()))?;
    at_once(&state.nodes, |node| node::await_up(room, node, &groups))
}

/// Does the same to all nodes, side by side.
fn at_once(nodes: &[Node], action: impl Fn(&Node) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> = nodes.iter().map(|node| scope.spawn(|| action(node))).collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    })
}

fn welcome(room: &Room) -> String {
    let xtask = "cargo xtask datacenter";
    let name = &room.name;
    let config = room.folder.join(CONFIG);
    let config = config.display();
    format!(
        "\nThe datacenter '{name}' is up.\n\n  \
           configuration  {config}\n\n\
         How to go on:\n\n  \
           {xtask} status --name {name}\n  \
           {xtask} run --name {name} -- karman-installer deploy --config {config}\n  \
           {xtask} ssh --name {name} master-1\n  \
           {xtask} kill --name {name} master-1\n  \
           {xtask} down --name {name}\n\n"
    )
}
