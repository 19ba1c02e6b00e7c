//! Binds every address before any role starts, so that a taken port stops the
//! start while nothing has happened yet.

use std::net::SocketAddr;

use karman_rt::http::{self, BindError};
use tokio::net::{TcpListener, UdpSocket};

use crate::ports::Ports;

/// How often the kernel may choose a UDP port whose TCP twin is taken.
const TWIN_ATTEMPTS: u32 = 16;

/// An address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{0} (with ports.{1} in the file given to --config, or --ephemeral for any free ports)")]
pub struct Error(BindError, &'static str);

/// All sockets of a datacenter.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) gateway: TcpListener,
    pub(super) master: TcpListener,
    pub(super) session: TcpListener,
    pub(super) agents: Vec<TcpListener>,
    pub(super) marathon: TcpListener,
    pub(super) metronome: TcpListener,
    pub(super) catalog: TcpListener,
    pub(super) dns_udp: UdpSocket,
    pub(super) dns_tcp: TcpListener,
    pub(super) dns_http: TcpListener,
    pub(super) urls: Urls,
}

/// Where they can be reached.
#[derive(Clone, Debug)]
pub(super) struct Urls {
    pub(super) gateway: String,
    pub(super) master: String,
    pub(super) session: String,
    pub(super) agents: Vec<String>,
    pub(super) marathon: String,
    pub(super) metronome: String,
    pub(super) catalog: String,
    pub(super) dns: SocketAddr,
    pub(super) dns_http: String,
}

pub(super) async fn bind(ports: &Ports, agents: u32) -> Result<Listeners, Error> {
    let (gateway, gateway_url) = role(ports.gateway, "the gateway", "gateway").await?;
    let (master, master_url) = role(ports.master, "the master", "master").await?;
    let (session, session_url) = role(ports.session, "the agents' sessions", "session").await?;
    let (marathon, marathon_url) = role(ports.marathon, "the Marathon API", "marathon").await?;
    let (metronome, metronome_url) =
        role(ports.metronome, "the Metronome API", "metronome").await?;
    let (catalog, catalog_url) = role(ports.catalog, "the catalog", "catalog").await?;
    let (dns_http, dns_http_url) =
        role(ports.dns_http, "the HTTP interface of DNS", "dns_http").await?;
    let (dns_udp, dns_tcp, dns) = twins(Ports::role(ports.dns)).await?;
    let mut agent_listeners = Vec::new();
    let mut agent_urls = Vec::new();
    for address in ports.agents(agents) {
        let (listener, url) = tcp(address, "an agent", "agent").await?;
        agent_listeners.push(listener);
        agent_urls.push(url);
    }
    let urls = Urls {
        gateway: gateway_url,
        master: master_url,
        session: session_url,
        agents: agent_urls,
        marathon: marathon_url,
        metronome: metronome_url,
        catalog: catalog_url,
        dns,
        dns_http: dns_http_url,
    };
    Ok(Listeners {
        gateway,
        master,
        session,
        agents: agent_listeners,
        marathon,
        metronome,
        catalog,
        dns_udp,
        dns_tcp,
        dns_http,
        urls,
    })
}

async fn role(
    port: u16,
    purpose: &'static str,
    key: &'static str,
) -> Result<(TcpListener, String), Error> {
    tcp(Ports::role(port), purpose, key).await
}

async fn tcp(
    address: SocketAddr,
    purpose: &'static str,
    key: &'static str,
) -> Result<(TcpListener, String), Error> {
    let failed = |error| Error(error, key);
    let listener = http::bind(address, purpose).await.map_err(failed)?;
    let bound =
        listener.local_addr().map_err(|source| failed(BindError { address, purpose, source }))?;
    Ok((listener, format!("http://{bound}")))
}

/// DNS answers on UDP and TCP at the same port.
async fn twins(address: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), Error> {
    let failed = |source| Error(BindError { address, purpose: "DNS", source }, "dns");
    let mut attempt = 1;
    loop {
        let udp = UdpSocket::bind(address).await.map_err(failed)?;
        let bound = udp.local_addr().map_err(failed)?;
        match TcpListener::bind(bound).await {
            Ok(tcp) => return Ok((udp, tcp, bound)),
            Err(_) if address.port() == 0 && attempt < TWIN_ATTEMPTS => attempt += 1,
            Err(source) => return Err(failed(source)),
        }
    }
}
