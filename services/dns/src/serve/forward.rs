//! Asking other name servers: all at once, the first reply wins.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tracing::debug;

use super::tcp;
use crate::answer::Transport;

/// Resolvers give up after five seconds; the failure must come before.
const DEADLINE: Duration = Duration::from_secs(4);
const REPLY_BYTES_MAX: usize = 65_535;

pub(super) async fn ask(
    query: &[u8],
    upstreams: &[SocketAddr],
    transport: Transport,
) -> Option<Vec<u8>> {
    let attempts = upstreams.iter().map(|upstream| async move {
        let reply = match transport {
            Transport::Udp => by_udp(query, *upstream).await,
            Transport::Tcp => by_tcp(query, *upstream).await,
        };
        reply.map_err(
            |error| debug!(upstream = %upstream, error = karman_rt::chain(&error), "no reply"),
        )
    });
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let first = async {
        while let Some(reply) = attempts.next().await {
            if let Ok(reply) = reply {
                return Some(reply);
            }
        }
        None
    };
    timeout(DEADLINE, first).await.ok().flatten()
}

/// A port of its own for each query makes replies hard to forge.
async fn by_udp(query: &[u8], upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let local: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(upstream).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; REPLY_BYTES_MAX];
    loop {
        let bytes = socket.recv(&mut buffer).await?;
        let reply = buffer.get(..bytes).unwrap_or_default();
        if belongs(query, reply) {
            return Ok(reply.to_vec());
        }
    }
}

async fn by_tcp(query: &[u8], upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    stream.write_all(&tcp::frame(query)?).await?;
    let reply = tcp::read(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if belongs(query, &reply) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A response with the id of the query.
fn belongs(query: &[u8], reply: &[u8]) -> bool {
    query.get(..2) == reply.get(..2) && reply.get(2).is_some_and(|flags| flags & 0x80 != 0)
}
