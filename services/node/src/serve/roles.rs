//! The roles of one machine. Each binds first; once all have, this process is
//! ready, and then they start, which for whoever stands by may take for ever.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use karman_rt::http::{BindError, Door, Leader, Reach};
use karman_rt::tls::{self, Identity};
use karman_rt::{Tasks, notify};
use karman_store::Store;
use tracing::info;

use super::machine::{Kind, Machine};
use super::sockets::{self, Names};
use super::stores;
use crate::args::Role;
use crate::config::Settings;
use crate::config::access::ORCHESTRATOR;
use crate::config::cluster::{Cluster, Engine};
use crate::roles::{StartError, shim};
use crate::{VERSION, capacity, resources};

/// A role did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] BindError),
    #[error("the certificate of this machine cannot be used")]
    Tls(#[from] tls::Error),
    #[error("the state cannot be opened")]
    Store(#[from] stores::Error),
    #[error("the configuration has no cluster section")]
    NoCluster,
    #[error("cannot make {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Role(#[from] StartError),
}

/// What all roles of this machine share.
struct Site {
    settings: Settings,
    cluster: Cluster,
    machine: Machine,
    identity: Identity,
    tasks: Tasks,
}

/// What is left to do once a role is bound.
type Starting = BoxFuture<'static, Result<(), StartError>>;

/// Starts the roles, and runs them until the tasks are stopped.
pub(super) async fn run(
    roles: &[Role],
    settings: Settings,
    machine: Machine,
    tasks: &Tasks,
) -> Result<Infallible, Error> {
    let cluster = settings.cluster.clone().ok_or(Error::NoCluster)?;
    let identity = Identity::load(machine.tls.clone())?;
    let site = Site { settings, cluster, machine, identity, tasks: tasks.clone() };
    let mut starting = Vec::new();
    for role in roles {
        starting.push(site.bind(*role).await?);
    }
    notify::ready(tasks);
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    info!(roles = names.join(" "), address = %site.machine.address, "ready");
    try_join_all(starting).await?;
    std::future::pending().await
}

impl Site {
    async fn bind(&self, role: Role) -> Result<Starting, Error> {
        match role {
            Role::Master => self.master().await,
            Role::Orchestrator => self.orchestrator().await,
            Role::Catalog => self.catalog().await,
            Role::Gateway => self.gateway().await,
            Role::Net => self.net().await,
            Role::Agent => self.agent().await,
        }
    }

    /// A door of this machine, as other machines reach it.
    fn url(&self, port: u16) -> String {
        self.cluster.url("https", self.machine.address, port)
    }

    fn reach(&self) -> Reach {
        Reach { tls: Some(self.identity.client()), leaders: BTreeMap::new() }
    }

    /// The folder of a role's own files.
    fn folder(&self, role: Role) -> Result<PathBuf, Error> {
        let path = self.machine.data_dir.join(role.name());
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Folder { path, source }),
        }
    }

    async fn master(&self) -> Result<Starting, Error> {
        let address = self.machine.address;
        let http = bind(address, sockets::MASTER, "the master").await?;
        let session = bind(address, sockets::SESSION, "the agents' sessions").await?;
        let config = karman_master::Config {
            cluster_name: self.settings.cluster_name.clone(),
            hostname: address.to_string(),
            ip: address,
            http: Door::either(http, &self.identity).into(),
            session,
            tls: Some(self.identity.clone()),
            urls: karman_master::Urls {
                http: self.url(sockets::MASTER),
                session: self.url(sockets::SESSION),
            },
            store: stores::open(&self.cluster, &self.machine, Role::Master)?,
            version: VERSION,
            settings: self.settings.master.clone(),
            access: self.settings.access.clone(),
        };
        let tasks = self.tasks.clone();
        Ok(async move { Ok(karman_master::start(config, &tasks).await?) }.boxed())
    }

    async fn orchestrator(&self) -> Result<Starting, Error> {
        let address = self.machine.address;
        let door = |port, purpose| sockets::role(address, port, &self.identity, purpose);
        let store = stores::open(&self.cluster, &self.machine, Role::Orchestrator)?;
        let config = karman_orchestrator::Config {
            marathon: door(sockets::MARATHON, "the Marathon API").await?,
            metronome: door(sockets::METRONOME, "the Metronome API").await?,
            urls: karman_orchestrator::Urls {
                marathon: self.url(sockets::MARATHON),
                metronome: self.url(sockets::METRONOME),
            },
            masters: self.cluster.masters_at(sockets::MASTER),
            leader: Some(self.leader(&store, &MASTER)),
            reach: self.reach(),
            store,
            hostname: address.to_string(),
            user: TASKS_USER.to_owned(),
            framework_name: ORCHESTRATOR.to_owned(),
            credentials: None,
            version: VERSION,
        };
        let tasks = self.tasks.clone();
        Ok(async move { Ok(karman_orchestrator::start(config, &tasks).await?) }.boxed())
    }

    async fn catalog(&self) -> Result<Starting, Error> {
        let http = sockets::local(sockets::CATALOG, "the catalog").await?;
        let (config, tasks) =
            (karman_catalog::Config { http, version: VERSION }, self.tasks.clone());
        Ok(async move { Ok(karman_catalog::start(config, &tasks).await?) }.boxed())
    }

    async fn gateway(&self) -> Result<Starting, Error> {
        let https = sockets::everywhere(sockets::HTTPS, "the gateway").await?;
        let redirect = sockets::everywhere(sockets::HTTP, "sending users to TLS").await?;
        let store = stores::open(&self.cluster, &self.machine, Role::Gateway)?;
        let leader = |it: &Leading| (it.host.to_owned(), self.leader(&store, it));
        let leaders = [MASTER, MARATHON, METRONOME, GATEWAY].iter().map(leader).collect();
        let local = |port| format!("http://127.0.0.1:{port}");
        let config = karman_gateway::Config {
            http: Door::public(https, &self.identity).into(),
            redirect: Some(redirect),
            reach: Reach { leaders, ..self.reach() },
            ip: self.machine.address,
            holder: self.url(sockets::HTTPS),
            writer: GATEWAY.url(),
            master: MASTER.url(),
            credentials: None,
            marathon: MARATHON.url(),
            metronome: METRONOME.url(),
            catalog: local(sockets::CATALOG),
            dns_http: local(sockets::DNS_HTTP),
            cluster_id: self.cluster.id.clone(),
            cluster_name: self.settings.cluster_name.clone(),
            auth: self.settings.auth.clone(),
            store,
            version: VERSION,
        };
        let tasks = self.tasks.clone();
        Ok(async move { Ok(karman_gateway::start(config, &tasks).await?) }.boxed())
    }

    /// Where one of those is who lead.
    fn leader(&self, store: &Arc<dyn Store>, leading: &Leading) -> Leader {
        let Leading { name, pick, port, .. } = *leading;
        match self.cluster.engine {
            Engine::Embedded => stores::only(self.url(port)),
            Engine::Etcd => stores::leader(store, name, pick, &self.tasks),
        }
    }

    async fn net(&self) -> Result<Starting, Error> {
        let Names { udp, tcp } = sockets::names(self.machine.address)?;
        let http = sockets::local(sockets::DNS_HTTP, "the HTTP interface of DNS").await?;
        let upstreams = self.settings.dns_upstreams.clone();
        let config = karman_dns::Config {
            udp,
            tcp,
            http,
            masters: self.cluster.masters_at(sockets::MASTER),
            master_ips: self.cluster.masters.clone(),
            reach: self.reach(),
            credentials: None,
            snapshot_file: self.folder(Role::Net)?.join("discovery.json"),
            domain: self.settings.dns_domain.clone(),
            upstreams: upstreams.unwrap_or_else(|| self.machine.resolvers.clone()),
            version: VERSION,
        };
        let tasks = self.tasks.clone();
        Ok(async move { Ok(karman_dns::start(config, &tasks).await?) }.boxed())
    }

    async fn agent(&self) -> Result<Starting, Error> {
        let Machine { address, kind, resources, attributes, fault_domain, .. } = &self.machine;
        let work_dir = self.folder(Role::Agent)?;
        let resources = match (kind, resources) {
            (Kind::PublicAgent, None) => {
                Some(resources::reserved(capacity::detect(&work_dir), PUBLIC))
            }
            (_, resources) => resources.clone(),
        };
        let attributes = match kind {
            Kind::PublicAgent => Some(public(attributes.as_deref())),
            Kind::Agent | Kind::Master => attributes.clone(),
        };
        let config = karman_agent::Config {
            work_dir,
            hostname: address.to_string(),
            ip: *address,
            http: sockets::role(*address, sockets::AGENT, &self.identity, "the agent").await?,
            masters: self.cluster.masters_at(sockets::SESSION),
            tls: Some(self.identity.files().clone()),
            resources,
            attributes,
            domain: fault_domain.clone(),
            hidden: SECRET.map(PathBuf::from).to_vec(),
            shim: shim().map_err(StartError::Program)?,
            executors: karman_agent::Patience::default(),
            version: VERSION,
        };
        let tasks = self.tasks.clone();
        Ok(async move { karman_agent::start(config, &tasks).await.map(drop).map_err(StartError::from) }
            .boxed())
    }
}

/// Keys and state of the roles of this machine.
const SECRET: [&str; 3] = ["/etc/karman", "/opt/karman/installer", "/var/lib/karman"];
/// As in DC/OS: apps that name nobody run as root, in their own namespaces.
const TASKS_USER: &str = "root";
/// The role that owns the resources of public agents, as in DC/OS.
const PUBLIC: &str = "slave_public";
/// What DC/OS says of public agents.
const PUBLIC_ATTRIBUTE: &str = "public_ip:true";

fn public(attributes: Option<&str>) -> String {
    match attributes {
        Some(attributes) if attributes.split(';').any(|it| it.trim() == PUBLIC_ATTRIBUTE) => {
            attributes.to_owned()
        }
        Some(attributes) => format!("{attributes};{PUBLIC_ATTRIBUTE}"),
        None => PUBLIC_ATTRIBUTE.to_owned(),
    }
}

/// What one machine leads at a time.
struct Leading {
    /// The host name that stands for it in URLs.
    host: &'static str,
    /// The name of the campaign.
    name: &'static str,
    /// The base URL, from what a leader says of itself.
    pick: fn(&str) -> Option<String>,
    port: u16,
}

const MASTER: Leading = Leading {
    host: "master.leader",
    name: karman_master::LEADERSHIP,
    pick: |holder| Some(karman_master::Urls::of(holder)?.http),
    port: sockets::MASTER,
};
const MARATHON: Leading = Leading {
    host: "marathon.leader",
    name: karman_orchestrator::LEADERSHIP,
    pick: |holder| Some(karman_orchestrator::Urls::of(holder)?.marathon),
    port: sockets::MARATHON,
};
const METRONOME: Leading = Leading {
    host: "metronome.leader",
    name: karman_orchestrator::LEADERSHIP,
    pick: |holder| Some(karman_orchestrator::Urls::of(holder)?.metronome),
    port: sockets::METRONOME,
};
const GATEWAY: Leading = Leading {
    host: "gateway.leader",
    name: karman_gateway::LEADERSHIP,
    pick: |holder| Some(holder.to_owned()),
    port: sockets::HTTPS,
};

impl Leading {
    fn url(&self) -> String {
        format!("http://{}", self.host)
    }
}

async fn bind(
    address: IpAddr,
    port: u16,
    purpose: &'static str,
) -> Result<tokio::net::TcpListener, BindError> {
    karman_rt::http::bind((address, port).into(), purpose).await
}
