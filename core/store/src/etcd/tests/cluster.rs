//! Real etcd on loopback, of one member or three, with everything that can
//! happen to it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use karman_rt::tls::Files;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::etcd::{Etcd, Options};

/// Whatever is awaited of etcd takes seconds at most, on a busy machine too.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    address: Ipv4Addr,
    port: u16,
    tls: bool,
    /// etcd's own limits, not those of our configuration.
    plain_limits: bool,
    /// Tells restored clusters apart.
    token: u32,
    members: Vec<Option<Child>>,
}

/// The folder of etcd's programs, from what sets the tests up or from the path.
/// Where there is none it says so loudly; in CI it fails.
fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let given = std::env::var_os("KARMAN_ETCD_DIR").map(PathBuf::from);
    let mut folders = given.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find(|at| at.join("etcd").is_file() && at.join("etcdctl").is_file());
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(found.is_some() || !ci, "CI lacks etcd and etcdctl (KARMAN_ETCD_DIR)");
    if found.is_none() {
        eprintln!(
            "\n*** THIS TEST DID NOT RUN: this machine lacks etcd and etcdctl; `cargo xtask test` brings them ***\n"
        );
    }
    found
}

impl Cluster {
    /// None where etcd is not installed.
    pub(super) fn start(members: usize, tls: bool) -> Option<Self> {
        let mut cluster = Self::prepare(members, tls)?;
        cluster.start_all();
        cluster.leader();
        Some(cluster)
    }

    /// With the limits that etcd has by itself.
    pub(super) fn start_plain() -> Option<Self> {
        let mut cluster = Self::prepare(1, false)?;
        cluster.plain_limits = true;
        cluster.start_all();
        cluster.leader();
        Some(cluster)
    }

    /// Everything but the processes.
    pub(super) fn prepare(members: usize, tls: bool) -> Option<Self> {
        static PORTS: AtomicU16 = AtomicU16::new(20_000);
        let programs = installed()?;
        // Each process has a loopback address for itself.
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, a | 0x80, b, c.clamp(1, 254));
        let folder = tempfile::tempdir().unwrap();
        if tls {
            certificates(folder.path(), address);
        }
        let port = PORTS.fetch_add(10, Ordering::SeqCst);
        let members = (0..members).map(|_| None).collect();
        Some(Self { programs, folder, address, port, tls, plain_limits: false, token: 0, members })
    }

    pub(super) fn start_all(&mut self) {
        for member in 0..self.members.len() {
            self.start_member(member);
        }
    }

    fn start_member(&mut self, member: usize) {
        let folder = self.folder.path();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("{member}.log")))
            .unwrap();
        let mut command = Command::new(self.programs.join("etcd"));
        command
            .args(["--name", &format!("m{member}"), "--data-dir"])
            .arg(self.data(member))
            .args(["--listen-client-urls", &self.client(member)])
            .args(["--advertise-client-urls", &self.client(member)])
            .args(["--listen-peer-urls", &self.peer(member)])
            .args(["--initial-advertise-peer-urls", &self.peer(member)])
            .args(["--initial-cluster", &self.all_peers()])
            .args(["--initial-cluster-token", &format!("test-{}", self.token)])
            .args(["--logger", "zap", "--log-level", "warn"]);
        if !self.plain_limits {
            command.args(["--max-request-bytes", "20971520"]);
        }
        if self.tls {
            let file = |name: &str| folder.join(name);
            for (certificate, key, ca, auth) in [
                ("--cert-file", "--key-file", "--trusted-ca-file", "--client-cert-auth"),
                (
                    "--peer-cert-file",
                    "--peer-key-file",
                    "--peer-trusted-ca-file",
                    "--peer-client-cert-auth",
                ),
            ] {
                command.arg(certificate).arg(file("server.pem")).arg(key).arg(file("server.key"));
                command.arg(ca).arg(file("ca.pem")).arg(auth);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.members[member] = Some(child);
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("{member}-{}.etcd", self.token))
    }

    fn url(&self, port: u16) -> String {
        format!("{}://{}:{port}", if self.tls { "https" } else { "http" }, self.address)
    }

    fn client(&self, member: usize) -> String {
        self.url(self.port + 2 * u16::try_from(member).unwrap())
    }

    fn peer(&self, member: usize) -> String {
        self.url(self.port + 2 * u16::try_from(member).unwrap() + 1)
    }

    fn all_peers(&self) -> String {
        let peers =
            (0..self.members.len()).map(|member| format!("m{member}={}", self.peer(member)));
        peers.collect::<Vec<_>>().join(",")
    }

    pub(super) fn options(&self) -> Options {
        let endpoints = (0..self.members.len()).map(|member| self.client(member)).collect();
        let file = |name: &str| self.folder.path().join(name);
        let tls = || Files {
            ca: file("ca.pem"),
            certificate: file("client.pem"),
            key: file("client.key"),
        };
        Options { tls: self.tls.then(tls), ..Options::new(endpoints) }
    }

    pub(super) fn open(&self) -> Arc<Etcd> {
        Etcd::open(self.options()).unwrap()
    }

    /// A store that talks to one member first.
    pub(super) fn open_at(&self, member: usize) -> Arc<Etcd> {
        let mut options = self.options();
        options.endpoints.rotate_left(member);
        Etcd::open(options).unwrap()
    }

    pub(super) fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn kill_all(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }

    pub(super) fn restart(&mut self, member: usize) {
        self.kill(member);
        self.start_member(member);
    }

    pub(super) fn pause(&self, member: usize) {
        self.signal(member, "STOP");
    }

    pub(super) fn go_on(&self, member: usize) {
        self.signal(member, "CONT");
    }

    fn signal(&self, member: usize, signal: &str) {
        let child = self.members[member].as_ref().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// The member that leads; waits until there is one.
    pub(super) fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            for member in 0..self.members.len() {
                let status = self.etcdctl(member, &["endpoint", "status", "-w", "fields"]);
                let text = String::from_utf8_lossy(&status.stdout).into_owned();
                let field = |name: &str| {
                    text.lines()
                        .find_map(|line| line.strip_prefix(&format!("\"{name}\" : ")))
                        .map(str::to_owned)
                };
                if let (Some(id), Some(leader)) = (field("MemberID"), field("Leader"))
                    && id == leader
                {
                    return member;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "etcd elects no leader");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `etcdctl` against one member.
    pub(super) fn etcdctl(&self, member: usize, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.programs.join("etcdctl"));
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.client(member)]);
        command.args(["--dial-timeout", "1s", "--command-timeout", "2s"]);
        if self.tls {
            let file = |name: &str| self.folder.path().join(name);
            command.arg("--cacert").arg(file("ca.pem"));
            command.arg("--cert").arg(file("client.pem")).arg("--key").arg(file("client.key"));
        }
        command.args(arguments).output().unwrap()
    }

    /// Runs `etcdctl` until it succeeds.
    pub(super) fn insist(&self, member: usize, arguments: &[&str]) {
        let begun = Instant::now();
        loop {
            let output = self.etcdctl(member, arguments);
            if output.status.success() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "etcdctl {arguments:?}: {output:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn save(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        self.insist(0, &["snapshot", "save", path.to_str().unwrap()]);
        path
    }

    /// Ends all members and starts them from a snapshot.
    pub(super) fn restore(&mut self, snapshot: &Path) {
        self.kill_all();
        self.token += 1;
        for member in 0..self.members.len() {
            let output = Command::new(self.programs.join("etcdctl"))
                .env("ETCDCTL_API", "3")
                .args(["snapshot", "restore"])
                .arg(snapshot)
                .args(["--name", &format!("m{member}"), "--data-dir"])
                .arg(self.data(member))
                .args(["--initial-cluster", &self.all_peers()])
                .args(["--initial-cluster-token", "restored"])
                .args(["--initial-advertise-peer-urls", &self.peer(member)])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        self.start_all();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// A certificate authority, a certificate for the members and one for clients.
fn certificates(folder: &Path, address: Ipv4Addr) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    // etcd holds peers to the addresses in their certificates, and the kernel
    // speaks to other loopback addresses from the first one.
    let names = vec![address.to_string(), Ipv4Addr::LOCALHOST.to_string()];
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.clone()).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
