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
mod elsewhere;
mod http;
pub mod ledger;
mod limits;
pub mod offers;
mod session;
pub mod stored;
pub mod validate;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use karman_api::mesos::v1;
use karman_model::time::Timestamp;
use karman_rt::http::Doors;
use karman_rt::time::now_ms;
use karman_rt::tls::Identity;
use karman_store::{Replica, Store};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::core::{Core, Facts, REQUESTS_MAX, Timings};
use crate::discovery::{Followers, Relay};
use crate::elsewhere::Elsewhere;
use crate::ledger::{Ledger, Settings};
use crate::limits::Limits;

/// Under which name masters campaign for leadership.
pub const LEADERSHIP: &str = "master";

/// What a master needs to start.
#[derive(Debug)]
pub struct Config {
    pub cluster_name: String,
    /// How this master is called in URLs.
    pub hostname: String,
    pub ip: IpAddr,
    /// Scheduler API, operator API, legacy reads.
    pub http: Doors,
    /// Where agents dial in.
    pub session: TcpListener,
    /// What this master shows to agents, and who they must be.
    pub tls: Option<Identity>,
    /// Where the other masters, services and agents find this one.
    pub urls: Urls,
    pub store: Arc<dyn Store>,
    pub version: &'static str,
    pub settings: Settings,
    pub access: Access,
}

/// The base URLs of a master's doors, as others reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    pub http: String,
    pub session: String,
}

impl Urls {
    /// What everybody can read of a leader, for [`Urls::of`].
    fn holder(&self) -> String {
        format!("{} {}", self.http, self.session)
    }

    /// From what a leader says of itself.
    pub fn of(holder: &str) -> Option<Self> {
        let (http, session) = holder.split_once(' ')?;
        Some(Self { http: http.to_owned(), session: session.to_owned() })
    }
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
    #[error("agents cannot be served")]
    Session(#[from] session::Error),
    #[error("the HTTP client for the leader's discovery stream cannot be built")]
    Client(#[source] reqwest::Error),
    #[error("cannot find out the address of a listener")]
    Address(#[source] std::io::Error),
}

/// Starts a master; it leads when this returns. Until then it answers for itself
/// only, and what others ask of it with 503.
pub async fn start(config: Config, tasks: &karman_rt::Tasks) -> Result<(), StartError> {
    let Config {
        cluster_name,
        hostname,
        ip,
        http,
        session,
        tls,
        urls,
        store,
        version,
        settings,
        access,
    } = config;
    let address = SocketAddr::new(ip, http.local_addr().map_err(StartError::Address)?.port());
    // Made anew when it leads: no id may be used twice, no time go backwards.
    let identity = || {
        let id = uuid::Uuid::new_v4().to_string();
        let info = master_info(&id, address, &hostname, version, settings.domain.clone());
        ledger::Identity { id: id.into(), info, started: Timestamp(now_ms()) }
    };
    let empty = Ledger::with_settings(identity(), settings.clone());
    let (views, snapshot) = watch::channel(Arc::new(empty.view()));
    let (requests, queue) = mpsc::channel(REQUESTS_MAX);
    let (events, names, timings) = (Facts::default(), Facts::default(), Timings::default());
    let followers = Arc::new(OnceLock::new());
    let (leads, leading) = watch::channel(false);
    let elsewhere = Elsewhere::new(store.leader(LEADERSHIP), urls.clone());
    let client = tls.as_ref().map(Identity::client);
    let client = karman_api::client::http(client).map_err(StartError::Client)?;
    let following = CancellationToken::new();
    let relay = Relay::spawn(client, elsewhere.clone(), following.clone(), tasks);
    let shared = http::Shared {
        core: requests.clone(),
        snapshot: snapshot.clone(),
        hub: http::Hub::spawn(events.clone(), snapshot, tasks),
        followers: Arc::clone(&followers),
        relay,
        elsewhere: elsewhere.clone(),
        timings: timings.clone(),
        throttle: http::Throttle::new(Limits::new(&settings.rate_limits)),
        access: Arc::new(access),
        log: karman_rt::log::Log::of_process(),
        tasks: tasks.clone(),
        cluster_name,
        version,
        answers: Arc::default(),
        renders: http::Renders::default(),
        leading: leading.clone(),
    };
    karman_rt::http::serve_to_readers(
        "master",
        http,
        http::router(shared),
        http::UNREAD_MAX,
        tasks,
    );

    let sessions = session::Server::new(requests, leading, elsewhere, tasks);
    sessions.serve(session, tls.as_ref().map(Identity::files))?;

    let replica = Replica::follow(Arc::clone(&store), stored::PREFIX, tasks);
    let door = |holder: &str| Some(Urls::of(holder)?.http);
    let leadership = karman_store::campaign(&*store, LEADERSHIP, &urls.holder(), door).await?;
    let begun = Instant::now();
    let contents = stored::read(&replica.caught_up(&leadership.fence).await?)?;
    drop(replica);
    timings.fetched(begun.elapsed());
    let mut ledger = Ledger::with_settings(identity(), settings.clone());
    ledger.restore(Timestamp(now_ms()), contents)?;
    let view = Arc::new(ledger.view());
    views.send_replace(Arc::clone(&view));
    followers.get_or_init(|| Followers::spawn(view, names.clone(), tasks));
    following.cancel();
    let facts = vec![events, names];
    let core = Core::new(ledger, queue, store, leadership, views, facts, timings);
    tasks.spawn_critical("master", core.run());
    leads.send_replace(true);
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
