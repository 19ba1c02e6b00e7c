//! Real etcd, with the certificates that the installer makes.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use karman_rt::tls::Files;
use karman_store::etcd::Options;

use crate::requirement;

/// Where members serve clients, and each other.
pub const CLIENT_PORT: u16 = 2379;
pub const PEER_PORT: u16 = 2380;

/// The folder of `etcd` and `etcdctl`: what sets the tests up names it, or they
/// are in the path. Where there is none it says so loudly; in CI it fails.
pub fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let given = std::env::var_os("KARMAN_ETCD_DIR").map(PathBuf::from);
    let mut folders = given.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find(|at| at.join("etcd").is_file() && at.join("etcdctl").is_file());
    if found.is_none() {
        requirement::missing("etcd and etcdctl, which `cargo xtask test` brings (KARMAN_ETCD_DIR)");
    }
    found
}

/// One member: where it is, and the folder of its certificates and data.
#[derive(Clone, Debug)]
pub struct Member {
    pub address: IpAddr,
    pub client: u16,
    pub peer: u16,
    /// As `karman_installer::pki` makes it.
    pub tls: PathBuf,
    pub data: PathBuf,
}

impl Member {
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.client)
    }

    fn peer_url(&self) -> String {
        format!("https://{}:{}", self.address, self.peer)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.address, self.peer)
    }

    /// The arguments of etcd for this member of a cluster.
    pub fn arguments(&self, cluster: &[Self]) -> Vec<OsString> {
        let peers = cluster.iter().map(|member| format!("{}={}", member.name(), member.peer_url()));
        let mut arguments: Vec<OsString> = Vec::new();
        let mut set = |name: &str, value: OsString| {
            arguments.extend([OsString::from(format!("--{name}")), value]);
        };
        set("name", self.name().into());
        set("data-dir", self.data.clone().into());
        set("initial-cluster", peers.collect::<Vec<_>>().join(",").into());
        set("listen-client-urls", self.url().into());
        set("advertise-client-urls", self.url().into());
        set("listen-peer-urls", self.peer_url().into());
        set("initial-advertise-peer-urls", self.peer_url().into());
        for (name, value) in [
            ("heartbeat-interval", "50"),
            ("election-timeout", "500"),
            ("auto-compaction-mode", "revision"),
            ("auto-compaction-retention", "100000"),
            ("max-request-bytes", "10485760"),
            ("logger", "zap"),
            ("log-level", "error"),
        ] {
            set(name, value.into());
        }
        let store = self.tls.join("store");
        for (side, file) in [("", "server"), ("peer-", "peer")] {
            set(&format!("{side}cert-file"), store.join(format!("{file}.pem")).into());
            set(&format!("{side}key-file"), store.join(format!("{file}.key")).into());
            set(&format!("{side}trusted-ca-file"), store.join("ca.pem").into());
        }
        arguments.extend(["--client-cert-auth".into(), "--peer-client-cert-auth".into()]);
        arguments
    }
}

/// What a client needs that has the certificates of `tls`.
pub fn options(members: &[Member], tls: &Path) -> Options {
    let store = tls.join("store");
    Options {
        tls: Some(Files {
            ca: store.join("ca.pem"),
            certificate: store.join("client.pem"),
            key: store.join("client.key"),
        }),
        ..Options::new(members.iter().map(Member::url).collect())
    }
}
