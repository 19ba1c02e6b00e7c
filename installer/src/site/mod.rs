//! What the admin's machine keeps of a cluster: the folder `.karman` beside
//! `config.yaml`. Whoever has it is the cluster's administrator.
//!
//! ```text
//! cluster.json         the cluster's id
//! ca.pem ca.key        authority of the nodes; store-ca.* that of the store
//! credentials          principal and secret for frameworks
//! password             of the first user, where it was made up; password-hash
//! bundle.key           signs bundles; join.key is the server's for joining
//! members.json         machines that were added and removed by commands
//! tokens.json          invitations to join
//! nodes/ADDRESS.json   what was signed for a machine
//! log/ADDRESS.log      what was done on it
//! known_hosts          keys of the machines' SSH servers, noted at the first visit
//! lock                 one installer at a time
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Tuning};
use crate::pki::{Authority, Subject};
use crate::plan::Role;

mod cluster;
mod password;

pub use cluster::Cluster;
pub use password::{hash_password, made_up};

const FOLDER_MODE: u32 = 0o700;
const SECRET_MODE: u32 = 0o600;

/// The folder.
#[derive(Clone, Debug)]
pub struct Site {
    pub folder: PathBuf,
}

/// A machine that a command added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    pub role: Role,
    /// By its own request, without SSH: SSH may not lead there.
    #[serde(default)]
    pub joined: bool,
}

/// How the cluster differs from the lists of `config.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    pub added: BTreeMap<IpAddr, Added>,
    pub removed: BTreeSet<IpAddr>,
}

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub address: IpAddr,
    pub role: Role,
    pub tuning: Tuning,
    pub joined: bool,
}

/// A certificate and what it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signed {
    request: String,
    host: String,
    role: Role,
    certificate: String,
}

impl Site {
    /// The folder that belongs to a configuration; it is made when it is written.
    pub fn beside(config: &Path) -> Self {
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or_else(|| Path::new(".")).join(".karman") }
    }

    /// Whether the cluster was ever deployed from here.
    pub fn exists(&self) -> bool {
        self.folder.join("cluster.json").exists()
    }

    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        let make = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder);
        make.with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Keeps other installers from this cluster until it is dropped.
    pub fn lock(&self) -> anyhow::Result<File> {
        let path = self.folder("")?.join("lock");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only to name the other process.
                let _unknown = file.read_to_string(&mut pid);
                bail!(
                    "another installer (process {}) works with {}; wait until it is done and repeat",
                    pid.trim(),
                    self.folder.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(file)
    }

    /// A file of the folder; none where it is not there.
    pub fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder("")?.join(name);
        if let Some(folder) = Path::new(name).parent() {
            self.folder(&folder.display().to_string())?;
        }
        let unfinished = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(SECRET_MODE);
            let mut file = options.open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// A file of the folder that is made where it is missing.
    fn read_or(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        if let Some(text) = self.read(name)? {
            return Ok(text);
        }
        let text = make()?;
        self.write(name, &text)?;
        Ok(text)
    }

    pub fn json<T: DeserializeOwned + Default>(&self, name: &str) -> anyhow::Result<T> {
        let Some(text) = self.read(name)? else { return Ok(T::default()) };
        serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", self.folder.join(name).display()))
    }

    pub fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(name, &(serde_json::to_string_pretty(value)? + "\n"))
    }

    pub fn members(&self) -> anyhow::Result<Members> {
        self.json("members.json")
    }

    /// The log of a machine, to be continued.
    pub fn log(&self, address: IpAddr) -> anyhow::Result<File> {
        let path = self.folder("log")?.join(format!("{address}.log"));
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(SECRET_MODE).open(&path);
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Certificates for the requests of a machine. The same request gets the
    /// same certificate again, so that nothing changes there.
    pub fn certificates(
        &self,
        cluster: &Cluster,
        member: &Member,
        host: &str,
        requests: &BTreeMap<String, String>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let Member { address, role, .. } = member;
        let file = format!("nodes/{address}.json");
        let mut signed: BTreeMap<String, Signed> = self.json(&file)?;
        let mut certificates = BTreeMap::new();
        certificates.insert("ca.pem".to_owned(), cluster.authority.certificate().to_owned());
        for (name, request) in requests {
            let (authority, subject): (&Authority, Subject) = match name.as_str() {
                "node" => {
                    let (role, host) = (*role, host.to_owned());
                    (&cluster.authority, Subject::Node { role, address: *address, host })
                }
                "store/client" => (&cluster.store_authority, Subject::StoreClient),
                "store/server" => {
                    (&cluster.store_authority, Subject::StoreServer { address: *address })
                }
                "store/peer" => {
                    (&cluster.store_authority, Subject::StorePeer { address: *address })
                }
                other => bail!("{address} asks for a certificate '{other}', which nobody needs"),
            };
            if name.starts_with("store/") {
                let authority = cluster.store_authority.certificate().to_owned();
                certificates.insert("store/ca.pem".to_owned(), authority);
            }
            let kept = signed.get(name).filter(|signed| {
                signed.request == *request && signed.host == host && signed.role == *role
            });
            let certificate = match kept {
                Some(signed) => signed.certificate.clone(),
                None => {
                    let certificate = authority.sign(request, &subject)?;
                    let (request, host) = (request.clone(), host.to_owned());
                    let fresh =
                        Signed { request, host, role: *role, certificate: certificate.clone() };
                    signed.insert(name.clone(), fresh);
                    certificate
                }
            };
            certificates.insert(format!("{name}.pem"), certificate);
        }
        self.write_json(&file, &signed)?;
        Ok(certificates)
    }
}

/// The machines of the cluster, masters first.
pub fn members(config: &Config, members: &Members) -> Vec<Member> {
    let lists = [
        (Role::Master, &config.master_list),
        (Role::Agent, &config.agent_list),
        (Role::PublicAgent, &config.public_agent_list),
    ];
    let listed = lists.into_iter().flat_map(|(role, list)| {
        list.iter().map(move |address| (*address, Added { role, joined: false }))
    });
    let mut all: Vec<(IpAddr, Added)> = listed.collect();
    for (address, added) in &members.added {
        match all.iter_mut().find(|(known, _)| known == address) {
            // It is listed by now; how it came stays true.
            Some((_, listed)) => listed.joined = added.joined,
            None => all.push((*address, added.clone())),
        }
    }
    all.retain(|(address, _)| !members.removed.contains(address));
    all.sort_by_key(|(_, added)| added.role);
    let tuning = |address: &IpAddr, role: Role| {
        if role == Role::Master {
            return Tuning::default();
        }
        let own = config.machines.get(address).cloned().unwrap_or_default();
        Tuning {
            resources: own.resources.or_else(|| config.agent_resources.clone()),
            attributes: own.attributes.or_else(|| config.agent_attributes.clone()),
            fault_domain: own.fault_domain,
        }
    };
    all.into_iter()
        .map(|(address, Added { role, joined })| Member {
            address,
            role,
            tuning: tuning(&address, role),
            joined,
        })
        .collect()
}

#[cfg(test)]
mod tests;
