//! What belongs on a machine of a cluster: users, files, settings, services. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::{Resolver, Tuning};
use crate::plan::{self, Role, Store};
use crate::release::{self, Item, Manifest, NodeFile, UNITS};
use crate::steps::{Content, Entry, Rights, Unit, Wanted};

mod resolv;

pub use resolv::{name_servers, resolv_conf};

pub const GROUP: &str = "karman";
pub const INSTALL: &str = "/opt/karman";
pub const CONFIG: &str = "/etc/karman";
pub const STATE: &str = "/var/lib/karman";
pub const CURRENT: &str = "/opt/karman/current";
/// What the installer itself keeps on a machine.
pub const INSTALLER: &str = "/opt/karman/installer";
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
const UNIT_FOLDER: &str = "/etc/systemd/system";
const TARGET: &str = "karman.target";
/// Since this version systemd lets pauses between restarts grow.
const RESTART_STEPS_SINCE: u32 = 254;
const BACKOFF: &str = "[Service]\nRestartSteps=8\nRestartMaxDelaySec=30\n";
/// Those of DC/OS: enough mappings for databases, and memory before swap.
const SYSCTL: &[(&str, &str)] = &[("vm.max_map_count", "262144"), ("vm.swappiness", "1")];
const SYSCTL_FILE: &str = "/etc/sysctl.d/90-karman.conf";
const KEY_MODE: u32 = 0o640;
const FILE_MODE: u32 = 0o644;

/// What the admin's machine wants of another one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub cluster_id: String,
    pub cluster_name: String,
    pub role: Role,
    pub address: IpAddr,
    pub masters: Vec<IpAddr>,
    pub store: Store,
    /// The id of the release that must come out.
    pub release: String,
    pub cluster_yaml: String,
    #[serde(default)]
    pub tuning: Tuning,
    #[serde(default)]
    pub resolvers: Vec<Resolver>,
    #[serde(default)]
    pub dns_search: Vec<String>,
    /// Certificates by their path below the folder of TLS files.
    pub certificates: BTreeMap<String, String>,
    /// Masters only.
    #[serde(default)]
    pub credentials: Option<String>,
}

/// Without the credentials.
impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cluster_id, role, address, release, .. } = self;
        write!(f, "Order({cluster_id}, {}, {address}, {release})", role.name())
    }
}

/// What the machine adds itself.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// The programs that the installer carries.
    pub programs: &'a [Item],
    /// Its private keys, by the path of their certificate without the ending.
    pub keys: &'a BTreeMap<String, String>,
    /// `/etc/resolv.conf` as it was before Karman.
    pub resolv_conf: &'a str,
    pub systemd: u32,
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("systemd", &self.systemd).finish_non_exhaustive()
    }
}

/// The keys that a machine needs, by the path of their certificate.
pub fn certificates(role: Role, store: Store) -> &'static [&'static str] {
    match (role, store) {
        (Role::Master, Store::Etcd) => &["node", "store/client", "store/server", "store/peer"],
        (Role::Master | Role::Agent | Role::PublicAgent, _) => &["node"],
    }
}

/// The place of a unit in the order of start.
pub fn start_order(unit: &str) -> usize {
    let all = plan::units(Role::Master, Store::Etcd);
    let name = unit.trim_end_matches(".service");
    all.iter().position(|known| *known == name).unwrap_or(all.len())
}

/// The machine as it shall be.
pub fn layout(order: &Order, local: Local<'_>) -> Wanted {
    let units = plan::units(order.role, order.store);
    let users: BTreeSet<&str> =
        units.iter().copied().filter(|unit| *unit != "karman-agent").collect();
    let mut builder = Builder { order, local, entries: BTreeMap::new() };
    builder.folders();
    builder.release();
    builder.configuration();
    builder.units(&units);
    let late = match units.contains(&"karman-net") {
        true => BTreeMap::from([(RESOLV_CONF.to_owned(), builder.resolv_conf())]),
        false => BTreeMap::new(),
    };
    let mut services: Vec<Unit> = units.iter().map(|unit| builder.unit(unit)).collect();
    // Last and without a hash: it only has to be there, so that it can be stopped.
    services.push(Unit { name: TARGET.to_owned(), fingerprint: String::new() });
    Wanted {
        groups: vec![GROUP.to_owned()],
        users: users.into_iter().map(|user| (user.to_owned(), GROUP.to_owned())).collect(),
        units: services,
        release: Some(order.release.clone()),
        entries: builder.entries,
        late,
        // The last one holds the record.
        trees: [CONFIG, STATE, INSTALL].map(str::to_owned).into(),
        sysctl: SYSCTL
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

struct Builder<'a> {
    order: &'a Order,
    local: Local<'a>,
    entries: BTreeMap<String, Entry>,
}

impl Builder<'_> {
    fn put(&mut self, path: impl Into<String>, entry: Entry) {
        self.entries.insert(path.into(), entry);
    }

    fn text(&mut self, path: impl Into<String>, rights: Rights, text: impl Into<String>) {
        self.put(path, Entry::File { rights, content: Content::Text(text.into()) });
    }

    fn home(&self) -> String {
        format!("{INSTALL}/releases/{}", self.order.release)
    }

    fn folders(&mut self) {
        let open = || Entry::Folder(Rights::root(0o755));
        for path in ["/opt", "/var/lib", UNIT_FOLDER, "/etc/sysctl.d"] {
            self.put(path, Entry::Shared);
        }
        for path in [INSTALL, STATE, CONFIG] {
            self.put(path, open());
        }
        self.put(format!("{INSTALL}/releases"), open());
        let home = self.home();
        for path in ["", "/bin", "/etc", "/systemd"] {
            self.put(format!("{home}{path}"), open());
        }
        let tls = Entry::Folder(Rights::of(0o750, "root", GROUP));
        self.put(format!("{CONFIG}/tls"), tls.clone());
        if certificates(self.order.role, self.order.store).len() > 1 {
            self.put(format!("{CONFIG}/tls/store"), tls);
        }
    }

    fn release(&mut self) {
        let home = self.home();
        for Item { path, mode, size: _, sha256 } in self.local.programs {
            let content = Content::Carried { path: path.clone(), sha256: sha256.clone() };
            let rights = Rights::root(*mode);
            self.put(format!("{home}/{path}"), Entry::File { rights, content });
        }
        let secret = Rights::of(release::CONFIG_MODE, "root", GROUP);
        self.text(format!("{home}/etc/karman.yaml"), secret, &self.order.cluster_yaml);
        for (name, text) in UNITS {
            self.text(format!("{home}/systemd/{name}"), Rights::root(release::UNIT_MODE), *text);
        }
        let manifest = Manifest::new(self.local.programs, &self.order.cluster_yaml);
        let text = serde_json::to_string_pretty(&manifest).expect("a manifest is JSON");
        self.text(format!("{home}/manifest.json"), Rights::root(FILE_MODE), text + "\n");
        self.put(CURRENT, Entry::Link { target: format!("releases/{}", self.order.release) });
    }

    fn configuration(&mut self) {
        let Order { role, address, store, masters, cluster_id, tuning, .. } = self.order;
        let own = name_servers(self.local.resolv_conf);
        // Who was told a name server for the whole cluster needs no other.
        let own = if self.order.resolvers.is_empty() { own } else { Vec::new() };
        let node = NodeFile { address: *address, role: *role, tuning, resolvers: &own };
        let open = Rights::root(FILE_MODE);
        self.text(format!("{CONFIG}/node.yaml"), open.clone(), release::node_yaml(&node));
        if let (Role::Master, Store::Etcd) = (role, store) {
            let text = release::etcd_yaml(cluster_id, *address, masters);
            self.text(format!("{CONFIG}/etcd.yaml"), open, text);
        }
        if let Some(credentials) = self.order.credentials.clone() {
            let rights = Rights::of(0o600, "karman-master", GROUP);
            self.text(format!("{CONFIG}/credentials"), rights, credentials);
        }
        for (name, text) in &self.order.certificates {
            self.text(format!("{CONFIG}/tls/{name}"), Rights::of(FILE_MODE, "root", GROUP), text);
        }
        for name in certificates(*role, *store) {
            if let Some(key) = self.local.keys.get(*name) {
                let rights = Rights::of(KEY_MODE, "root", GROUP);
                self.text(format!("{CONFIG}/tls/{name}.key"), rights, key);
            }
        }
        let settings: String =
            SYSCTL.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        self.text(SYSCTL_FILE, Rights::root(FILE_MODE), settings);
    }

    fn units(&mut self, units: &[&str]) {
        let wants = format!("{UNIT_FOLDER}/{TARGET}.wants");
        let boot = format!("{UNIT_FOLDER}/multi-user.target.wants");
        self.put(wants.clone(), Entry::Shared);
        self.put(boot.clone(), Entry::Shared);
        self.put(
            format!("{boot}/{TARGET}"),
            Entry::Link { target: format!("{UNIT_FOLDER}/{TARGET}") },
        );
        let mine =
            |name: &str| name == TARGET || units.contains(&name.trim_end_matches(".service"));
        for (name, text) in UNITS.iter().filter(|(name, _)| mine(name)) {
            let path = format!("{UNIT_FOLDER}/{name}");
            self.text(path.clone(), Rights::root(release::UNIT_MODE), *text);
            if *name != TARGET {
                self.put(format!("{wants}/{name}"), Entry::Link { target: path });
            }
        }
        if self.local.systemd >= RESTART_STEPS_SINCE {
            let folder = format!("{UNIT_FOLDER}/karman-.service.d");
            self.put(folder.clone(), Entry::Shared);
            self.text(format!("{folder}/backoff.conf"), Rights::root(FILE_MODE), BACKOFF);
        }
    }

    fn resolv_conf(&self) -> Entry {
        let Order { resolvers, dns_search, .. } = self.order;
        let text = resolv_conf(self.local.resolv_conf, resolvers, dns_search);
        Entry::File { rights: Rights::root(FILE_MODE), content: Content::Text(text) }
    }

    /// A unit with the hash over what its program reads when it starts.
    fn unit(&self, unit: &str) -> Unit {
        let name = format!("{unit}.service");
        let is_etcd = unit == "karman-etcd";
        let read = |path: &str| {
            let file = path.strip_prefix(&self.home()).unwrap_or(path).to_owned();
            let tls = file.strip_prefix("/etc/karman/tls/").filter(|_| file.starts_with(CONFIG));
            match tls {
                Some(tls) => !is_etcd || tls.starts_with("store/"),
                None if is_etcd => file == "/bin/etcd" || file == "/etc/karman/etcd.yaml",
                None => {
                    ["/bin/karmand", "/etc/karman.yaml", "/etc/karman/node.yaml"]
                        .contains(&file.as_str())
                        || (unit == "karman-master" && file == "/etc/karman/credentials")
                }
            }
        };
        let is_own = |path: &str| path == format!("{UNIT_FOLDER}/{name}");
        let mut text = String::new();
        for (path, entry) in &self.entries {
            let Entry::File { content, .. } = entry else { continue };
            if read(path) || is_own(path) {
                text.push_str(&content.sha256());
            }
        }
        Unit { name, fingerprint: release::sha256(text.as_bytes()) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
