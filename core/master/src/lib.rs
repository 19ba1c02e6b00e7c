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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

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

/// Starts a master; it leads when this returns. Until then it answers for itself
/// only, and what others ask of it with 503.
pub async fn start(config: Config, tasks: &karman_rt::Tasks) -> Result<(), StartError> {
    let Config { cluster_name, hostname, ip, http, session, store, version, settings, access } =
        config;
    let address = SocketAddr::new(ip, http.local_addr().map_err(StartError::Address)?.port());
    // Made anew when it leads: no id may be used twice, no time go backwards.
    let identity = || {
        let id = uuid::Uuid::new_v4().to_string();
        let info = master_info(&id, address, &hostname, version, settings.domain.clone());
        Identity { id: id.into(), info, started: Timestamp(now_ms()) }
    };
    let empty = Ledger::with_settings(identity(), settings.clone());
    let (views, snapshot) = watch::channel(Arc::new(empty.view()));
    let (requests, queue) = mpsc::channel(REQUESTS_MAX);
    let (events, names, timings) = (Facts::default(), Facts::default(), Timings::default());
    let followers = Arc::new(OnceLock::new());
    let leading = Arc::new(AtomicBool::new(false));
    let shared = http::Shared {
        core: requests.clone(),
        snapshot: snapshot.clone(),
        hub: http::Hub::spawn(events.clone(), snapshot, tasks),
        followers: Arc::clone(&followers),
        timings: timings.clone(),
        throttle: http::Throttle::new(Limits::new(&settings.rate_limits)),
        access: Arc::new(access),
        log: karman_rt::log::Log::of_process(),
        tasks: tasks.clone(),
        cluster_name,
        version,
        answers: Arc::default(),
        renders: http::Renders::default(),
        leading: Arc::clone(&leading),
    };
    karman_rt::http::serve_to_readers(
        "master",
        http,
        http::router(shared),
        http::UNREAD_MAX,
        tasks,
    );

    let leadership = store.campaign(LEADERSHIP, &format!("http://{address}")).await?;
    let begun = Instant::now();
    let contents = stored::read(&store.load(stored::PREFIX).await?.entries)?;
    timings.fetched(begun.elapsed());
    let mut ledger = Ledger::with_settings(identity(), settings.clone());
    ledger.restore(Timestamp(now_ms()), contents)?;
    let view = Arc::new(ledger.view());
    views.send_replace(Arc::clone(&view));
    followers.get_or_init(|| Followers::spawn(view, names.clone(), tasks));
    let facts = vec![events, names];
    let core = Core::new(ledger, queue, store, leadership, views, facts, timings);
    tasks.spawn_critical("master", core.run());
    session::serve(session, requests, tasks);
    leading.store(true, Ordering::Release);
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
