//! The room of a datacenter: its folder, its network namespace with the bridge,
//! and what is known about it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::partition::Partitions;
use super::shape::{self, ADMIN, Name, Node, PREFIX_LENGTH};
use crate::tree;

pub(crate) const BRIDGE: &str = "br0";
pub(crate) const KEY: &str = "id_ed25519";
pub(crate) const KNOWN_HOSTS: &str = "known_hosts";
pub(crate) const CONFIG: &str = "config.yaml";
const STATE: &str = "state.json";
const SSH_PORT: u16 = 22;

#[derive(Debug)]
pub(crate) struct Room {
    pub name: Name,
    pub folder: PathBuf,
}

/// What is kept in the folder.
#[derive(Debug)]
pub(crate) struct State {
    pub nodes: Vec<Node>,
    pub base: PathBuf,
    pub partitions: Partitions,
    /// Whether `up` came to its end.
    pub complete: bool,
}

impl Room {
    pub(crate) fn new(name: Name) -> Self {
        let folder = tree::target().join("datacenters").join(name.to_string());
        Self { name, folder }
    }

    pub(crate) fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(self.netns_name())
    }

    fn netns_name(&self) -> String {
        format!("karman-{}", self.name)
    }

    /// Nobody else changes it meanwhile.
    pub(crate) fn lock(&self) -> Result<Flock<File>> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let folder = File::open(&self.folder)
            .with_context(|| format!("cannot open {}", self.folder.display()))?;
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(lock),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                bail!(
                    "another command is changing the datacenter '{}'; try again when it is done",
                    self.name
                )
            }
            Err((_, error)) => Err(error).context("cannot lock the folder of the datacenter"),
        }
    }

    pub(crate) fn save(&self, state: &State) -> Result<()> {
        let State { nodes, base, partitions, complete } = state;
        let document = json!({
            "nodes": shape::to_json(nodes),
            "base": base,
            "partitions": partitions.to_json(),
            "complete": complete,
        });
        let (path, new) = (self.folder.join(STATE), self.folder.join("state.new"));
        fs::write(&new, format!("{document:#}\n"))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Nothing where there is no datacenter of this name.
    pub(crate) fn load(&self) -> Result<Option<State>> {
        let path = self.folder.join(STATE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let state = || {
            let value: Value = serde_json::from_str(&text)?;
            Ok::<_, anyhow::Error>(State {
                nodes: shape::from_json(&value["nodes"])?,
                base: value["base"].as_str().context("no base")?.into(),
                partitions: Partitions::from_json(&value["partitions"])?,
                complete: value["complete"].as_bool().context("complete or not?")?,
            })
        };
        state().map(Some).with_context(|| {
            format!("{} is damaged; remove the datacenter with `down`", path.display())
        })
    }

    /// The datacenter, which must be there.
    pub(crate) fn existing(&self) -> Result<State> {
        let state = self.load()?.with_context(|| {
            format!(
                "there is no datacenter '{}'; make it with: cargo xtask datacenter up --name {}",
                self.name, self.name
            )
        })?;
        ensure!(
            self.netns().exists(),
            "the network of the datacenter '{}' is gone, as after a restart of this machine; \
             remove it with: cargo xtask datacenter down --name {}",
            self.name,
            self.name
        );
        Ok(state)
    }

    pub(crate) fn create_network(&self) -> Result<()> {
        let name = self.netns_name();
        ip(&["netns", "add", &name])?;
        let address = format!("{ADMIN}/{PREFIX_LENGTH}");
        for arguments in [
            &["link", "set", "lo", "up"][..],
            &["link", "add", "name", BRIDGE, "type", "bridge"],
            &["addr", "add", &address, "dev", BRIDGE],
            &["link", "set", BRIDGE, "up"],
        ] {
            ip(&[&["-n", name.as_str()], arguments].concat())?;
        }
        Ok(())
    }

    /// Ends what still runs in the namespace, and the namespace.
    pub(crate) fn remove_network(&self) -> Result<()> {
        let path = self.netns();
        let Ok(inode) = fs::metadata(&path).map(|meta| meta.ino()) else { return Ok(()) };
        for pid in within(inode) {
            // One that has ended since is what is wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        ip(&["netns", "del", &self.netns_name()])
    }

    /// A command in the datacenter's network.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns().display())).arg("--").arg(program);
        command
    }

    pub(crate) fn apply(&self, partitions: &Partitions) -> Result<()> {
        let mut nft = self
            .command("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start nft")?;
        nft.stdin
            .take()
            .context("nft has no stdin")?
            .write_all(partitions.rules().as_bytes())
            .context("cannot write to nft")?;
        ensure!(nft.wait()?.success(), "nft did not take the rules");
        Ok(())
    }

    /// Whether the SSH server of a node answers.
    pub(crate) fn answers(&self, node: Ipv4Addr, limit: Duration) -> Result<bool> {
        let netns = File::open(self.netns()).context("cannot open the network namespace")?;
        let probe = thread::spawn(move || -> Result<bool> {
            // Of this thread only.
            setns(netns, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
            Ok(greeting(SocketAddr::from((node, SSH_PORT)), limit)
                .is_ok_and(|text| text == *b"SSH-"))
        });
        probe.join().map_err(|_| anyhow::anyhow!("asking a node panicked"))?
    }
}

fn greeting(address: SocketAddr, limit: Duration) -> std::io::Result<[u8; 4]> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut text = [0; 4];
    stream.read_exact(&mut text)?;
    Ok(text)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip")?;
    ensure!(
        output.status.success(),
        "ip {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The processes of a network namespace.
fn within(inode: u64) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| meta.ino() == inode)
        })
        .collect()
}
