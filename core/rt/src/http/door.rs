//! What is spoken on a listener: plain HTTP, TLS, or whichever the client begins
//! with.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::stream::Stream;
use crate::tls::{Identity, Peer};

/// A client that has not finished its handshake after this long is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake (RFC 8446, 5.1); no HTTP method begins so.
const HANDSHAKE: u8 = 0x16;

/// A listener and what is spoken on it.
#[derive(Debug)]
pub struct Door {
    pub(super) listener: TcpListener,
    pub(super) speaks: Speaks,
}

#[derive(Clone)]
pub(super) enum Speaks {
    Plain,
    /// With everybody who may shake hands.
    Tls(TlsAcceptor),
    Masters(TlsAcceptor),
    Either(TlsAcceptor),
}

impl std::fmt::Debug for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
            Self::Masters(_) => "Masters",
            Self::Either(_) => "Either",
        })
    }
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self { listener, speaks: Speaks::Plain }
    }
}

impl Door {
    /// For masters of the cluster: TLS, with certificates on both sides.
    pub fn masters(listener: TcpListener, identity: &Identity) -> Self {
        Self { listener, speaks: Speaks::Masters(identity.peers.clone().into()) }
    }

    /// For other machines of the cluster, and in plain HTTP for everybody.
    pub fn either(listener: TcpListener, identity: &Identity) -> Self {
        Self { listener, speaks: Speaks::Either(identity.peers.clone().into()) }
    }

    /// For users: TLS, with a certificate on this side.
    pub fn public(listener: TcpListener, identity: &Identity) -> Self {
        Self { listener, speaks: Speaks::Tls(identity.public.clone().into()) }
    }
}

/// The doors of one server, at least one.
#[derive(Debug)]
pub struct Doors {
    pub(super) first: Door,
    pub(super) more: Vec<Door>,
}

impl<T: Into<Door>> From<T> for Doors {
    fn from(door: T) -> Self {
        Self { first: door.into(), more: Vec::new() }
    }
}

impl Doors {
    /// These and one more.
    #[must_use]
    pub fn and(mut self, door: Option<Door>) -> Self {
        self.more.extend(door);
        self
    }

    /// The address of the first.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.first.listener.local_addr()
    }
}

/// Why nothing came of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the client did not begin in {} s", HANDSHAKE_MAX.as_secs())]
    Silent,
    #[error("the TLS handshake failed")]
    Handshake(#[from] io::Error),
    #[error("the client's certificate belongs to no machine of the cluster")]
    Stranger,
    #[error("the client is no master")]
    NoMaster,
}

impl Speaks {
    /// Shakes hands, where that is needed; says who connects, where it is known.
    pub(super) async fn greet(&self, stream: TcpStream) -> Result<(Stream, Option<Peer>), Refused> {
        let greeted = timeout(HANDSHAKE_MAX, self.shake_hands(stream));
        greeted.await.map_err(|_elapsed| Refused::Silent)?
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<(Stream, Option<Peer>), Refused> {
        let acceptor = match self {
            Self::Plain => return Ok((Stream::Plain(stream), None)),
            Self::Tls(acceptor) | Self::Masters(acceptor) => acceptor,
            Self::Either(acceptor) => {
                let mut first = [0];
                stream.peek(&mut first).await?;
                if first != [HANDSHAKE] {
                    return Ok((Stream::Plain(stream), None));
                }
                acceptor
            }
        };
        let stream = acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
        let peer = match shown {
            Some(certificate) => Some(Peer::of(certificate).ok_or(Refused::Stranger)?),
            // Users need none; peers do not come so far without.
            None => None,
        };
        if matches!(self, Self::Masters(_)) && peer != Some(Peer::Master) {
            return Err(Refused::NoMaster);
        }
        Ok((Stream::Tls(Box::new(stream)), peer))
    }
}

#[cfg(test)]
mod tests;
