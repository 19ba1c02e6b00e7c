//! `cargo xtask datacenter`: machines to install on, without having any. Nodes
//! with systemd and an SSH server, started by systemd-nspawn, on a bridge in a
//! network namespace of their own.

mod base;
mod cgroups;
mod down;
mod node;
mod partition;
mod room;
mod shape;
mod status;
mod up;

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail, ensure};

use self::cgroups::Hierarchies;
use self::room::{KEY, KNOWN_HOSTS, Room, State};
use self::shape::{Name, Node};
use crate::packages::{self, DATACENTER_NEEDS};
use crate::process::{self, say};

const DEFAULT_NAME: &str = "trial";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which datacenter
    #[arg(long, global = true, default_value = DEFAULT_NAME)]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Boot nodes, and write the configuration with which they can be installed
    Up(shape::Shape),
    /// Show all nodes
    Status {
        /// Print a table, or a JSON document
        #[arg(long, value_enum, default_value_t = status::Form::Table)]
        output: status::Form,
    },
    /// Log in to a node, or run a command there
    Ssh {
        node: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a program of this machine in the network of the datacenter
    Run {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Cut the power of nodes
    Kill {
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Start nodes again, with the disks they have
    Boot {
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Let a node hear nothing any more, and not be heard
    Partition {
        node: String,
        /// Only by these nodes; otherwise by all, and by this machine
        #[arg(long)]
        from: Vec<String>,
    },
    /// End partitions: those of a node, or all
    Heal { node: Option<String> },
    /// End all nodes, and remove everything that belongs to them
    Down,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if !process::is_root() {
        bail!("nodes need namespaces and mounts: run this as root");
    }
    let room = Room::new(Name::parse(&args.name)?);
    match args.command {
        Command::Up(shape) => {
            let missing = packages::provide(&DATACENTER_NEEDS)?;
            ensure!(missing.is_empty(), "nodes cannot be made without what is named above");
            up::run(&room, shape)
        }
        Command::Status { output } => status::run(&room, output),
        Command::Ssh { node, command } => ssh(&room, &node, &command),
        Command::Run { command } => within(&room, &command),
        Command::Kill { nodes } => kill(&room, &nodes),
        Command::Boot { nodes } => boot(&room, &nodes),
        Command::Partition { node, from } => {
            let state = room.existing()?;
            let node = find(&state.nodes, &node)?.address;
            let others = from
                .iter()
                .map(|name| Ok(find(&state.nodes, name)?.address))
                .collect::<Result<Vec<_>>>()?;
            ensure!(!others.contains(&node), "a node cannot be cut off from itself");
            change(&room, |state| {
                if others.is_empty() {
                    state.partitions.cut(node, None);
                }
                for other in &others {
                    state.partitions.cut(node, Some(*other));
                }
            })
        }
        Command::Heal { node } => {
            let state = room.existing()?;
            let node =
                node.map(|name| find(&state.nodes, &name).map(|node| node.address)).transpose()?;
            change(&room, |state| state.partitions.heal(node))
        }
        Command::Down => down::run(&room),
    }
}

/// The configuration for the installer; it exists while the datacenter is up.
pub(crate) fn config_of(name: &str) -> std::path::PathBuf {
    crate::tree::target().join("datacenters").join(name).join(room::CONFIG)
}

fn find<'a>(nodes: &'a [Node], name: &str) -> Result<&'a Node> {
    nodes.iter().find(|node| node.name == name).with_context(|| {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        format!("there is no node '{name}'; there are {}", names.join(", "))
    })
}

fn ssh(room: &Room, node: &str, command: &[String]) -> Result<()> {
    let state = room.existing()?;
    let node = find(&state.nodes, node)?;
    let mut ssh = room.command("ssh");
    ssh.arg("-q").arg("-i").arg(room.folder.join(KEY)).arg("-o");
    ssh.arg(format!("UserKnownHostsFile={}", room.folder.join(KNOWN_HOSTS).display()));
    ssh.args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
    ssh.arg(format!("root@{}", node.address)).args(command);
    // Only returns if it fails.
    Err(ssh.exec()).context("cannot run ssh")
}

fn within(room: &Room, command: &[String]) -> Result<()> {
    room.existing()?;
    let (program, arguments) = command.split_first().context("which program?")?;
    Err(room.command(program).args(arguments).exec())
        .with_context(|| format!("cannot run {program}"))
}

fn kill(room: &Room, names: &[String]) -> Result<()> {
    let _lock = room.lock()?;
    let state = room.existing()?;
    let groups = Hierarchies::detect()?;
    for name in names {
        let node = find(&state.nodes, name)?;
        if node::init(room, node, &groups).is_none() {
            say(&format!("{name} is off already"));
            continue;
        }
        node::kill_all(room, &state.nodes, Some(node), &groups)?;
        groups.remove(&room.name, Some(name))?;
        say(&format!("{name} is off"));
    }
    Ok(())
}

fn boot(room: &Room, names: &[String]) -> Result<()> {
    let _lock = room.lock()?;
    let state = room.existing()?;
    let groups = Hierarchies::detect()?;
    let nodes =
        names.iter().map(|name| find(&state.nodes, name)).collect::<Result<Vec<&Node>>>()?;
    for node in &nodes {
        if node::init(room, node, &groups).is_some() {
            say(&format!("{} is on already", node.name));
        } else {
            node::boot(room, &state.base, node, &groups)?;
        }
    }
    for node in nodes {
        node::await_up(room, node, &groups)?;
        say(&format!("{} is up", node.name));
    }
    Ok(())
}

/// Changes who hears whom.
fn change(room: &Room, change: impl FnOnce(&mut State)) -> Result<()> {
    let _lock = room.lock()?;
    let mut state = room.existing()?;
    change(&mut state);
    room.apply(&state.partitions)?;
    room.save(&state)
}
