//! etcd on loopback, with mutual TLS and set as the installer sets it. It ends
//! with the value.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use karman_installer::pki::{self, Authority};
use karman_installer::plan::Role;
use karman_rt::tls::Files;
use karman_store::Store;
use karman_store::etcd::{Etcd, Options};
use tempfile::TempDir;

/// Where it is, if not on the path.
const FOLDER: &str = "KARMAN_ETCD_DIR";
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) struct Members {
    folder: TempDir,
    /// For clients and for peers, of each.
    ports: Vec<(u16, u16)>,
    running: Vec<Child>,
}

impl Members {
    /// Starts members that form a cluster.
    pub(crate) fn start(count: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::create("nodes")?;
        let store = Authority::create("store")?;
        let tls = folder.path().join("tls");
        pki::write_node(&tls, &authority, Some(&store), Role::Master, LOCAL, "localhost")?;
        // Held until all are known, so that none is given twice.
        let held =
            (0..2 * count).map(|_| TcpListener::bind((LOCAL, 0))).collect::<Result<Vec<_>, _>>()?;
        let free = held
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()))
            .collect::<Result<Vec<_>>>()?;
        let ports = free.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        drop(held);
        let mut members = Self { folder, ports, running: Vec::new() };
        for at in 0..count {
            let child = members.spawn(at)?;
            members.running.push(child);
        }
        Ok(members)
    }

    fn spawn(&self, at: usize) -> Result<Child> {
        let folder = self.folder.path();
        let store = folder.join("tls/store");
        let program = std::env::var_os(FOLDER)
            .map_or_else(|| PathBuf::from("etcd"), |folder| Path::new(&folder).join("etcd"));
        let (client, peer) = self.ports.get(at).copied().context("no such member")?;
        let url = |port: u16| format!("https://{LOCAL}:{port}");
        let all: Vec<String> = self
            .ports
            .iter()
            .enumerate()
            .map(|(at, (_client, peer))| format!("m{at}={}", url(*peer)))
            .collect();
        let mut command = Command::new(program);
        command.args(["--name", &format!("m{at}"), "--data-dir"]).arg(folder.join(format!("{at}")));
        command.args(["--listen-client-urls", &url(client)]);
        command.args(["--advertise-client-urls", &url(client)]);
        command.args(["--listen-peer-urls", &url(peer)]);
        command.args(["--initial-advertise-peer-urls", &url(peer)]);
        command.args(["--initial-cluster", &all.join(",")]);
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.args(["--max-request-bytes", "10485760", "--quota-backend-bytes", "8589934592"]);
        command.args([
            "--auto-compaction-mode",
            "revision",
            "--auto-compaction-retention",
            "100000",
        ]);
        command.args(["--client-cert-auth", "--peer-client-cert-auth"]);
        for (option, name) in [("", "server"), ("peer-", "peer")] {
            command.arg(format!("--{option}cert-file")).arg(store.join(format!("{name}.pem")));
            command.arg(format!("--{option}key-file")).arg(store.join(format!("{name}.key")));
            command.arg(format!("--{option}trusted-ca-file")).arg(store.join("ca.pem"));
        }
        let log = File::create(folder.join(format!("{at}.log")))?;
        command.args(["--logger", "zap", "--log-level", "warn"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
            .spawn()
            .context("cannot start etcd: install it, or name its folder in KARMAN_ETCD_DIR")
    }

    /// A store that asks one member first.
    pub(crate) fn open(&self, first: usize) -> Result<Arc<dyn Store>> {
        let mut endpoints: Vec<String> =
            self.ports.iter().map(|(client, _peer)| format!("https://{LOCAL}:{client}")).collect();
        endpoints.rotate_left(first);
        let file = |name: &str| self.folder.path().join("tls/store").join(name);
        let tls =
            Files { ca: file("ca.pem"), certificate: file("client.pem"), key: file("client.key") };
        let options = Options { tls: Some(tls), ..Options::new(endpoints) };
        Ok(Etcd::open(options)?)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It has ended already, or ends now.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}
