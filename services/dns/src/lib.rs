//! Names of tasks.
//!
//! The master pushes its task table ([`follow`]); [`zone`] turns it into
//! records, [`answer`] turns a query and a zone into a reply, and [`serve`]
//! moves bytes between sockets and those two. The last snapshot lies on disk
//! and is answered from while no master can be reached. Nothing here asks the
//! master anything when a query comes, and nothing polls.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use karman_api::credentials::Credentials;
use karman_rt::Tasks;
use karman_rt::http::Reach;

pub mod answer;
mod api;
mod disk;
#[cfg(test)]
mod fixture;
mod follow;
mod serve;
pub mod zone;

use karman_api::karman::discovery::Snapshot;
use zone::{Settings, Zone};

/// What the names are served with.
#[derive(Debug)]
pub struct Config {
    /// Where names are asked for, at least one of each.
    pub udp: Vec<UdpSocket>,
    pub tcp: Vec<TcpListener>,
    /// The Mesos-DNS HTTP API.
    pub http: TcpListener,
    /// Base URLs of the masters, at least one; the discovery stream of any is
    /// followed.
    pub masters: Vec<String>,
    /// The addresses of all masters, for the names that stand for them; none
    /// where only the leader is known.
    pub master_ips: Vec<IpAddr>,
    pub reach: Reach,
    /// For a master that asks.
    pub credentials: Option<Credentials>,
    /// Where the last snapshot is kept.
    pub snapshot_file: PathBuf,
    /// The top-level domain of tasks, `mesos`.
    pub domain: String,
    /// Name servers for all other names; without any they are refused.
    pub upstreams: Vec<SocketAddr>,
    pub version: &'static str,
}

/// The names cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the name server is given no address")]
    Nowhere,
    #[error("the address of the name server is not known")]
    Address(#[source] std::io::Error),
    #[error("the HTTP client for the discovery stream cannot be built")]
    Client(#[source] reqwest::Error),
    #[error("the domain '{domain}' is not a DNS name; use letters, digits, '-' and '.'")]
    Domain { domain: String },
    #[error("stopped before the first snapshot came")]
    Stopped,
}

/// What the zone was computed from, and the zone.
#[derive(Debug)]
struct Current {
    snapshot: Snapshot,
    zone: Zone,
}

/// The newest state; its generation is `None` until the first snapshot.
type CurrentReceiver = watch::Receiver<Option<Arc<Current>>>;

/// Serves names; returns once there is a snapshot, from the master or from the
/// disk.
pub async fn start(config: Config, tasks: &Tasks) -> Result<(), StartError> {
    let Config {
        udp,
        tcp,
        http,
        masters,
        master_ips,
        reach,
        credentials,
        snapshot_file,
        domain,
        upstreams,
        version,
    } = config;
    let local = udp.first().ok_or(StartError::Nowhere)?;
    let local = local.local_addr().map_err(StartError::Address)?;
    let settings = Settings::new(&domain, local.ip()).ok_or(StartError::Domain { domain })?;
    let settings = settings.with_masters(master_ips);
    let client = karman_api::client::http(reach.tls).map_err(StartError::Client)?;
    let remembered = disk::read(&snapshot_file).await;
    let remembered = remembered
        .map(|snapshot| Arc::new(Current { zone: zone::build(&snapshot, &settings), snapshot }));
    let (current, mut receiver) = watch::channel(remembered);

    let served = serve::Served::new(receiver.clone(), upstreams);
    for socket in udp {
        serve::udp::spawn(socket, served.clone(), tasks);
    }
    for listener in tcp {
        serve::tcp::spawn(listener, served.clone(), tasks);
    }
    let about = api::About {
        version,
        domain: settings.domain.clone(),
        address: local,
        masters: masters.clone(),
    };
    karman_rt::http::serve("dns-http", http, api::router(receiver.clone(), about), tasks);
    disk::spawn(snapshot_file, receiver.clone(), tasks);
    let follower = follow::Follower { http: client, masters, credentials, settings, current };
    tasks.spawn("dns-follow", follower.run());

    let ready = receiver.wait_for(Option::is_some);
    let stopped = tasks.token();
    tokio::select! {
        ready = ready => ready.map(drop).map_err(|_closed| StartError::Stopped),
        () = stopped.cancelled() => Err(StartError::Stopped),
    }
}

#[cfg(test)]
mod tests;
