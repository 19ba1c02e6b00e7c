//! Where the roles of a machine listen: on the ports that clients of DC/OS
//! expect. A role is reached in plain HTTP on loopback and over TLS at the
//! machine's address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use karman_rt::http::{BindError, Door, Doors, bind};
use karman_rt::tls::Identity;
use nix::sys::socket::sockopt::IpFreebind;
use nix::sys::socket::{SockType, setsockopt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

pub(super) const MASTER: u16 = 5050;
pub(super) const SESSION: u16 = 5049;
pub(super) const AGENT: u16 = 5051;
pub(super) const MARATHON: u16 = 8080;
pub(super) const METRONOME: u16 = 9000;
pub(super) const CATALOG: u16 = 7070;
pub(super) const DNS: u16 = 53;
pub(super) const DNS_HTTP: u16 = 8123;
pub(super) const HTTP: u16 = 80;
pub(super) const HTTPS: u16 = 443;

/// Where every machine asks for names, as in DC/OS.
const RESOLVERS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(198, 51, 100, 2),
    Ipv4Addr::new(198, 51, 100, 3),
];

/// Connections to the name server that wait to be accepted.
const BACKLOG: u32 = 1024;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) async fn local(port: u16, purpose: &'static str) -> Result<TcpListener, BindError> {
    bind(SocketAddr::new(LOOPBACK, port), purpose).await
}

/// For this machine, and for masters.
pub(super) async fn role(
    address: IpAddr,
    port: u16,
    identity: &Identity,
    purpose: &'static str,
) -> Result<Doors, BindError> {
    let inside = local(port, purpose).await?;
    let outside = bind(SocketAddr::new(address, port), purpose).await?;
    Ok(Doors::from(inside).and(Some(Door::masters(outside, identity))))
}

/// On every address of this machine.
pub(super) async fn everywhere(port: u16, purpose: &'static str) -> Result<TcpListener, BindError> {
    bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), purpose).await
}

/// The sockets of the name server.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
}

pub(super) fn names(address: IpAddr) -> Result<Names, BindError> {
    let mut names = Names::default();
    for ip in RESOLVERS.map(IpAddr::V4).into_iter().chain([address]) {
        let at = SocketAddr::new(ip, DNS);
        let failed = |source| BindError { address: at, purpose: "DNS", source };
        names.udp.push(udp(at).map_err(failed)?);
        names.tcp.push(tcp(at).map_err(failed)?);
    }
    Ok(names)
}

/// The address may come later than this process.
fn udp(at: SocketAddr) -> std::io::Result<UdpSocket> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockaddrStorage, bind, socket};
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&socket, IpFreebind, &true)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(at))?;
    UdpSocket::from_std(std::net::UdpSocket::from(socket))
}

fn tcp(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    setsockopt(&socket, IpFreebind, &true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}
