//! Who gets which resources.
//!
//! The master knows agents, frameworks and tasks; it knows no service. Agents
//! dial in over the session protocol, frameworks speak the Mesos v1 scheduler
//! API, operators read snapshots.
//!
//! [`ledger`], [`offers`] and [`validate`] decide, with [`karman_allocator`]; [`core`] is the
//! task around them; [`http`] and [`session`] are the doors.

pub mod access;
mod core;
mod discovery;
mod http;
pub mod ledger;
mod limits;
pub mod offers;
mod session;
pub mod stored;
pub mod validate;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_model::time::Timestamp;
use karman_rt::time::now_ms;
use karman_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::access::Access;
use crate::core::{Core, Facts, REQUESTS_MAX, Timings};
use crate::discovery::Followers;
use crate::ledger::{Identity, Ledger, Settings};
use crate::limits::Limits;

/// Under which name masters campaign for leadership.
const LEADERSHIP: &str = "master";

/// What a master needs to start.
#[derive(Debug)]
pub struct Config {
    pub cluster_name: String,
    /// How this master is called in URLs.
    pub hostname: String,
    pub ip: IpAddr,
    /// Scheduler API, operator API, legacy reads.
    pub http: TcpListener,
    /// Where agents dial in.
    pub session: TcpListener,
    pub store: Arc<dyn Store>,
    pub version: &'static str,
    pub settings: Settings,
    pub access: Access,
}

/// Why a master could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the state of the master")]
    Store(#[from] karman_store::Error),
    #[error(
        "the stored object {key} cannot be read; restore a backup of the data folder or move it away"
    )]
    Stored { key: String, source: serde_json::Error },
    #[error("the state of the master cannot be restored")]
    Restore(#[from] ledger::Unrestorable),
    #[error("cannot find out the address of a listener")]
    Address(#[source] std::io::Error),
}

/// Starts a master; it is ready when this returns.
pub async fn start(config: Config, tasks: &karman_rt::Tasks) -> Result<(), StartError> {
    let Config { cluster_name, hostname, ip, http, session, store, version, settings, access } =
        config;
    let address = SocketAddr::new(ip, http.local_addr().map_err(StartError::Address)?.port());
    let leadership = store.campaign(LEADERSHIP).await?;
    let contents = stored::read(&store.load(stored::PREFIX).await?.entries)?;

    let now = Timestamp(now_ms());
    let id = uuid::Uuid::new_v4().to_string();
    let info = master_info(&id, address, &hostname, version, settings.domain.clone());
    let identity = Identity { id: id.into(), info, started: now };
    let throttle = http::Throttle::new(Limits::new(&settings.rate_limits));
    let mut ledger = Ledger::with_settings(identity, settings);
    ledger.restore(now, contents)?;

    let (views, snapshot) = watch::channel(Arc::new(ledger.view()));
    let (requests, queue) = mpsc::channel(REQUESTS_MAX);
    let (events, names, timings) = (Facts::default(), Facts::default(), Timings::default());
    let hub = http::Hub::spawn(events.clone(), snapshot.clone(), tasks);
    let followers = Followers::spawn(Arc::clone(&snapshot.borrow()), names.clone(), tasks);
    let facts = vec![events, names];
    let core = Core::new(ledger, queue, store, leadership, views, facts, timings.clone());
    tasks.spawn_critical("master", core.run());
    session::serve(session, requests.clone(), tasks);
    let shared = http::Shared {
        core: requests,
        snapshot,
        hub,
        followers,
        timings,
        throttle,
        access: Arc::new(access),
        log: karman_rt::log::Log::of_process(),
        tasks: tasks.clone(),
        cluster_name,
        version,
        answers: Arc::default(),
    };
    karman_rt::http::serve("master", http, http::router(shared), tasks);
    tracing::info!(address = %address, "master ready");
    Ok(())
}

fn master_info(
    id: &str,
    address: SocketAddr,
    hostname: &str,
    version: &str,
    domain: Option<v1::DomainInfo>,
) -> v1::MasterInfo {
    use v1::master_info::{Capability, capability::Type};
    // The bytes of the address in network order, read as a native number.
    let ip = match address.ip() {
        IpAddr::V4(ip) => u32::from_ne_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    v1::MasterInfo {
        id: id.to_owned(),
        ip,
        port: address.port().into(),
        pid: Some(format!("master@{address}")),
        hostname: Some(hostname.to_owned()),
        version: Some(version.to_owned()),
        address: Some(v1::Address {
            hostname: Some(hostname.to_owned()),
            ip: Some(address.ip().to_string()),
            port: address.port().into(),
        }),
        domain,
        capabilities: [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2]
            .map(|it| Capability { r#type: Some(it.into()) })
            .to_vec(),
    }
}

#[cfg(test)]
mod tests;
