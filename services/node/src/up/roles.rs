//! Starts the roles in the order of their needs: the master first, then all
//! that meet it, the gateway last. Each is ready when its start returns.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::try_join_all;
use karman_gateway::Credentials;
use karman_master::access::Access;
use karman_rt::http::Reach;
use karman_store::Store;
use karman_store::embedded::{Embedded, OpenError};
use tokio::net::TcpListener;

use super::Groups;
use super::listeners::{Listeners, Urls};
use crate::config::Settings;
use crate::config::access::{ORCHESTRATOR, SERVICES};
use crate::data_dir::{self, DataDir};
use crate::resources;
use crate::roles::{StartError, shim};
use crate::{VERSION, capacity};

/// Everything of one machine is reached here.
const HOST: &str = "127.0.0.1";

/// A role did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("an agent's listener has no address")]
    Address(#[source] std::io::Error),
    #[error(transparent)]
    Resources(#[from] resources::Error),
    #[error(transparent)]
    Role(#[from] StartError),
}

/// What Karman's own services show to a master that asks: new with every start,
/// and known to this process only.
#[derive(Debug, Default)]
struct Own {
    orchestrator: Option<Credentials>,
    services: Option<Credentials>,
}

impl Own {
    fn new(access: &Access) -> Self {
        if !access.asks() {
            return Self::default();
        }
        let made = |principal: &str| {
            let (principal, secret) = (principal.to_owned(), uuid::Uuid::new_v4().to_string());
            Some(Credentials { principal, secret })
        };
        Self { orchestrator: made(ORCHESTRATOR), services: made(SERVICES) }
    }

    fn admitted(&self, mut access: Access) -> Access {
        for Credentials { principal, secret } in
            [&self.orchestrator, &self.services].into_iter().flatten()
        {
            access.credentials = access.credentials.with(principal, secret);
        }
        access
    }
}

/// Starts all roles; returns when every one of them is ready.
pub(super) async fn start(
    settings: &Settings,
    data_dir: &DataDir,
    listeners: Listeners,
    groups: &Groups,
) -> Result<(), Error> {
    let store: Arc<dyn Store> = Embedded::open(&data_dir.path().join("store.redb"))?;
    let Listeners {
        gateway,
        master,
        session,
        agents,
        marathon,
        metronome,
        catalog,
        dns_udp,
        dns_tcp,
        dns_http,
        urls,
    } = listeners;
    let own = Own::new(&settings.access);
    let config = karman_master::Config {
        cluster_name: settings.cluster_name.clone(),
        hostname: HOST.to_owned(),
        ip: ip(&master)?,
        http: master.into(),
        session,
        tls: None,
        urls: karman_master::Urls { http: urls.master.clone(), session: urls.session.clone() },
        store: Arc::clone(&store),
        version: VERSION,
        settings: settings.master.clone(),
        access: own.admitted(settings.access.clone()),
    };
    karman_master::start(config, &groups.master).await.map_err(StartError::from)?;
    let tasks = &groups.others;
    let orchestrator = karman_orchestrator::Config {
        marathon: marathon.into(),
        metronome: metronome.into(),
        urls: karman_orchestrator::Urls {
            marathon: urls.marathon.clone(),
            metronome: urls.metronome.clone(),
        },
        masters: vec![urls.master.clone()],
        leader: None,
        reach: Reach::default(),
        store: Arc::clone(&store),
        hostname: HOST.to_owned(),
        // Whoever runs the datacenter runs its tasks.
        user: std::env::var("USER").unwrap_or_else(|_| "root".into()),
        framework_name: ORCHESTRATOR.to_owned(),
        credentials: own.orchestrator.clone(),
        version: VERSION,
    };
    let dns = karman_dns::Config {
        udp: vec![dns_udp],
        tcp: vec![dns_tcp],
        http: dns_http,
        masters: vec![urls.master.clone()],
        master_ips: Vec::new(),
        reach: Reach::default(),
        credentials: own.services.clone(),
        snapshot_file: data_dir.path().join("discovery.json"),
        domain: settings.dns_domain.clone(),
        upstreams: settings.dns_upstreams.clone().unwrap_or_else(capacity::name_servers),
        version: VERSION,
    };
    let agents = agents_configs(settings, data_dir, agents, &urls)?;
    tokio::try_join!(
        async {
            try_join_all(agents.into_iter().map(|config| karman_agent::start(config, tasks)))
                .await
                .map_err(StartError::from)
        },
        async { karman_orchestrator::start(orchestrator, tasks).await.map_err(StartError::from) },
        async { karman_dns::start(dns, tasks).await.map_err(StartError::from) },
        async {
            karman_catalog::start(karman_catalog::Config { http: catalog, version: VERSION }, tasks)
                .await
                .map_err(StartError::from)
        },
    )?;
    let config = gateway_config(settings, data_dir, gateway, urls, store)?;
    let config = karman_gateway::Config { credentials: own.services, ..config };
    karman_gateway::start(config, tasks).await.map_err(StartError::from)?;
    Ok(())
}

fn agents_configs(
    settings: &Settings,
    data_dir: &DataDir,
    listeners: Vec<TcpListener>,
    urls: &Urls,
) -> Result<Vec<karman_agent::Config>, Error> {
    let shim: PathBuf = shim().map_err(StartError::Program)?;
    let count = listeners.len();
    let resources =
        resources::divide(&settings.resources, capacity::detect(data_dir.path()), count)?;
    // The settings were checked: they fit the number of agents.
    let attributes =
        resources::each(&settings.attributes, count).unwrap_or_else(|| vec![None; count]);
    let domains =
        resources::each(&settings.fault_domains, count).unwrap_or_else(|| vec![None; count]);
    let mut configs = Vec::new();
    for (number, (((http, resources), attributes), domain)) in
        (1..).zip(listeners.into_iter().zip(resources).zip(attributes).zip(domains))
    {
        let ip = ip(&http)?;
        configs.push(karman_agent::Config {
            work_dir: data_dir.path().join(format!("agent-{number}")),
            hostname: ip.to_string(),
            ip,
            http: http.into(),
            masters: vec![urls.session.clone()],
            tls: None,
            resources,
            attributes,
            domain,
            hidden: vec![data_dir.path().to_owned()],
            shim: shim.clone(),
            executors: karman_agent::Patience::default(),
            version: VERSION,
        });
    }
    Ok(configs)
}

fn gateway_config(
    settings: &Settings,
    data_dir: &DataDir,
    http: TcpListener,
    urls: Urls,
    store: Arc<dyn Store>,
) -> Result<karman_gateway::Config, Error> {
    Ok(karman_gateway::Config {
        ip: ip(&http)?,
        http: http.into(),
        redirect: None,
        reach: Reach::default(),
        holder: urls.gateway.clone(),
        writer: urls.gateway,
        master: urls.master,
        credentials: None,
        marathon: urls.marathon,
        metronome: urls.metronome,
        catalog: urls.catalog,
        dns_http: urls.dns_http,
        cluster_id: data_dir.cluster_id()?,
        cluster_name: settings.cluster_name.clone(),
        auth: settings.auth.clone(),
        store,
        version: VERSION,
    })
}

fn ip(listener: &TcpListener) -> Result<IpAddr, Error> {
    listener.local_addr().map(|address| address.ip()).map_err(Error::Address)
}
