//! One node: its disk, its start and its sudden end.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::base::{ACCOUNT, write};
use super::cgroups::Hierarchies;
use super::room::{BRIDGE, KEY, KNOWN_HOSTS, Room};
use super::shape::{Node, PREFIX_LENGTH};
use crate::process::succeeds;

const SCRIPT: &str = include_str!("node.sh");
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const KILL_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// How much of its console is shown of a node that does not come up.
const CONSOLE_LINES: usize = 20;

/// Makes the disk of a new node.
pub(crate) fn create(room: &Room, base: &Path, node: &Node) -> Result<()> {
    let folder = folder(room, node);
    for part in ["disk", "work", "root"] {
        let part = folder.join(part);
        fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    }
    // A file system of its own, on which overlays can be made in turn.
    ensure!(
        succeeds(Command::new("cp").arg("-a").arg(base.join("var")).arg(folder.join("var"))),
        "cannot copy {}",
        base.join("var").display()
    );
    let disk = folder.join("disk");
    let Node { name, role: _, address } = node;
    write(&disk, "etc/hostname", &format!("{name}\n"))?;
    write(&disk, "etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {name}\n"))?;
    write(&disk, "etc/machine-id", &format!("{:032x}\n", machine_id(room, node)))?;
    write(
        &disk,
        "etc/systemd/network/10-host0.network",
        &format!(
            "[Match]\nName=host0\n\n[Network]\nAddress={address}/{PREFIX_LENGTH}\n\
             LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        ),
    )?;
    let key = disk.join("etc/ssh/ssh_host_ed25519_key");
    key_pair(&key, name)?;
    authorize(room, base, &disk)
}

/// Who may log in.
fn authorize(room: &Room, base: &Path, disk: &Path) -> Result<()> {
    let public = room.folder.join(format!("{KEY}.pub"));
    let key =
        fs::read_to_string(&public).with_context(|| format!("cannot read {}", public.display()))?;
    for home in ["root".to_owned(), format!("home/{ACCOUNT}")] {
        let meta = fs::metadata(base.join(&home)).context("a home is missing in the base")?;
        write(disk, &format!("{home}/.ssh/authorized_keys"), &key)?;
        let home = disk.join(home);
        fs::set_permissions(&home, meta.permissions()).context("cannot change a mode")?;
        fs::set_permissions(home.join(".ssh"), Permissions::from_mode(0o700))
            .context("cannot change a mode")?;
        let (uid, gid) = (
            std::os::unix::fs::MetadataExt::uid(&meta),
            std::os::unix::fs::MetadataExt::gid(&meta),
        );
        for path in [home.clone(), home.join(".ssh"), home.join(".ssh/authorized_keys")] {
            lchown(path, Some(uid), Some(gid)).context("cannot change an owner")?;
        }
    }
    Ok(())
}

pub(crate) fn key_pair(path: &Path, comment: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    ensure!(
        succeeds(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
                .arg(path)
        ),
        "ssh-keygen made no key {}",
        path.display()
    );
    Ok(())
}

/// What the nodes' SSH servers prove to be.
pub(crate) fn known_hosts(room: &Room, nodes: &[Node]) -> Result<()> {
    let mut text = String::new();
    for node in nodes {
        let path = folder(room, node).join("disk/etc/ssh/ssh_host_ed25519_key.pub");
        let key =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.push_str(&format!("{} {key}", node.address));
    }
    fs::write(room.folder.join(KNOWN_HOSTS), text).context("cannot write the known hosts")
}

/// Different for every node, and the same at each of its boots.
fn machine_id(room: &Room, node: &Node) -> u128 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, room.name.to_string(), &node.name).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    part(0) << 64 | part(1)
}

/// Starts a node that is off; it comes up by itself.
pub(crate) fn boot(room: &Room, base: &Path, node: &Node, groups: &Hierarchies) -> Result<()> {
    let folder = folder(room, node);
    let entered: Vec<String> = groups
        .create(&room.name, &node.name)?
        .into_iter()
        .map(|group| group.display().to_string())
        .collect();
    let console = File::create(console(room, node)).context("cannot write the node's console")?;
    let errors = console.try_clone().context("cannot share a file")?;
    // The first program lives on as the node; it is nobody's child any more when this one ends.
    let started = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "setsid", "--fork", "sh", "-c", SCRIPT])
        .env("FOLDER", &folder)
        .env("BASE", base)
        .env("NETNS", room.netns())
        .env("BRIDGE", BRIDGE)
        .env("MACHINE", machine(room, node))
        .env("HOST", &node.name)
        .env("GROUPS_TO_ENTER", entered.join(" "))
        .env("UNIFIED", if groups.unified { "1" } else { "0" })
        .env("KEEPER", groups.keeper())
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors)
        .status()
        .context("cannot run unshare")?;
    ensure!(started.success(), "{} was not started ({started})", node.name);
    Ok(())
}

/// Waits until a node's SSH server answers.
pub(crate) fn await_up(room: &Room, node: &Node, groups: &Hierarchies) -> Result<()> {
    let deadline = Instant::now() + BOOT_LIMIT;
    loop {
        if room.answers(node.address, ANSWER_LIMIT)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let state = if init(room, node, groups).is_some() { "runs" } else { "has ended" };
            let text = fs::read_to_string(console(room, node)).unwrap_or_default();
            let end: Vec<&str> = text.lines().rev().take(CONSOLE_LINES).collect();
            bail!(
                "{} {state}, but its SSH server did not answer within {} s; the end of its console:\n{}",
                node.name,
                BOOT_LIMIT.as_secs(),
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        thread::sleep(PAUSE);
    }
}

/// The first process of a node that is on.
pub(crate) fn init(room: &Room, node: &Node, groups: &Hierarchies) -> Option<i32> {
    // Inside, it is number 1 of the outermost namespace below ours.
    groups
        .processes(&room.name, Some(&node.name))
        .into_iter()
        .filter_map(|pid| Some((levels(pid)?, pid)))
        .filter(|(levels, _)| levels.len() > 1 && levels.last() == Some(&1))
        .min_by_key(|(levels, _)| levels.len())
        .map(|(_, pid)| pid)
}

/// The numbers of a process in all its namespaces.
fn levels(pid: i32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// Ends all that runs in nodes, as if their power were cut: one node or all.
pub(crate) fn kill_all(
    room: &Room,
    nodes: &[Node],
    only: Option<&Node>,
    groups: &Hierarchies,
) -> Result<()> {
    for node in nodes.iter().filter(|node| only.is_none_or(|only| only == *node)) {
        if let Some(init) = init(room, node, groups) {
            // The kernel ends all others in it with this one, and nspawn cleans up.
            let _ = kill(Pid::from_raw(init), Signal::SIGKILL);
        }
    }
    let name = only.map(|node| node.name.as_str());
    let begun = Instant::now();
    loop {
        let left = groups.processes(&room.name, name);
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= KILL_LIMIT / 2 {
            // One that was caught before it had started anything.
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
        }
        ensure!(begun.elapsed() < KILL_LIMIT, "processes {left:?} do not end");
        thread::sleep(PAUSE);
    }
}

/// Removes what systemd-nspawn keeps about a node outside of it.
pub(crate) fn forget(room: &Room, node: &Node) {
    let folder = Path::new("/run/systemd/nspawn/propagate").join(machine(room, node));
    // Usually systemd-nspawn has done so itself.
    drop(fs::remove_dir(folder));
}

fn machine(room: &Room, node: &Node) -> String {
    format!("{}-{}", room.name, node.name)
}

fn folder(room: &Room, node: &Node) -> PathBuf {
    room.folder.join("nodes").join(&node.name)
}

pub(crate) fn console(room: &Room, node: &Node) -> PathBuf {
    folder(room, node).join("console.log")
}
