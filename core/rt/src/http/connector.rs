//! The client's side of the doors: plain TCP or TLS, to an address or to whoever
//! leads at present.
//!
//! A URL such as `http://master.leader/…` names no machine: it is reached
//! wherever its leader is when the connection is made, and the connection breaks
//! when somebody else leads, so that no request is left with a machine that was
//! cut off.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::stream::Stream;

/// The base URL of whoever leads; `None` while nobody does.
pub type Leader = watch::Receiver<Option<String>>;

/// How other roles are reached: by default those of one machine, in plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// For URLs that begin with `https`.
    pub tls: Option<Arc<ClientConfig>>,
    /// By the host name that stands for the leader in URLs.
    pub leaders: BTreeMap<String, Leader>,
}

impl Reach {
    /// How other machines are reached.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

type ConnectFailure = Box<dyn std::error::Error + Send + Sync>;

/// A leader that has not answered for so long may be dead.
const LEADER_TRY_MAX: Duration = Duration::from_secs(1);
/// Between two tries to reach the same leader.
const LEADER_RETRY: Duration = Duration::from_millis(200);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("nobody leads")]
    NobodyLeads,
    #[error("'{0}' is not an address to connect to")]
    Address(String),
    #[error("this process has no certificate to show to {0}")]
    NoIdentity(String),
    #[error("no connection to {to}")]
    Tcp {
        to: String,
        #[source]
        source: ConnectFailure,
    },
    #[error("the TLS handshake with {to} failed")]
    Tls { to: String, source: io::Error },
    #[error("the connection was not made in {} s", limit.as_secs())]
    Late { limit: Duration },
}

/// Makes the connections of a client.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector,
    reach: Reach,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(reach: Reach, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Small frames of event streams must not wait for more.
        tcp.set_nodelay(true);
        Self { tcp, reach, limit }
    }

    async fn connect(&self, uri: &Uri) -> Result<TokioIo<Link>, ConnectError> {
        let leader = uri.host().and_then(|host| self.reach.leaders.get(host));
        if let Some(leader) = leader {
            return self.lead(leader.clone()).await;
        }
        let stream = self.stream(uri).await?;
        Ok(TokioIo::new(Link { stream, moved: None }))
    }

    /// Connects to whoever leads. One that does not answer may be dead without
    /// anybody knowing it yet: the next one is waited for.
    async fn lead(&self, mut leader: Leader) -> Result<TokioIo<Link>, ConnectError> {
        loop {
            let base = leader.wait_for(Option::is_some).await;
            let base = base.map_err(|_closed| ConnectError::NobodyLeads)?.clone();
            let base = base.unwrap_or_default();
            let target: Uri = base.parse().map_err(|_| ConnectError::Address(base.clone()))?;
            match timeout(LEADER_TRY_MAX, self.stream(&target)).await {
                Ok(Ok(stream)) => {
                    let moved = Some(moved(leader, base));
                    return Ok(TokioIo::new(Link { stream, moved }));
                }
                Ok(Err(ConnectError::Tcp { .. } | ConnectError::Tls { .. })) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
            let _same = timeout(LEADER_RETRY, moved(leader.clone(), base)).await;
        }
    }

    async fn stream(&self, target: &Uri) -> Result<Stream, ConnectError> {
        let to = target.to_string();
        let stream = self.tcp.clone().call(target.clone()).await;
        let failed = |source: ConnectFailure| ConnectError::Tcp { to: to.clone(), source };
        let stream = stream.map_err(|source| failed(source.into()))?;
        self.secured(stream.into_inner(), target, to).await
    }

    async fn secured(
        &self,
        stream: TcpStream,
        target: &Uri,
        to: String,
    ) -> Result<Stream, ConnectError> {
        if target.scheme_str() != Some("https") {
            return Ok(Stream::Plain(stream));
        }
        let Some(tls) = &self.reach.tls else { return Err(ConnectError::NoIdentity(to)) };
        let host = target.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| ConnectError::Address(to.clone()))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        let stream = stream.map_err(|source| ConnectError::Tls { to, source })?;
        Ok(Stream::Connected(Box::new(stream)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connector, limit) = (self.clone(), self.limit);
        Box::pin(async move {
            let made = timeout(limit, connector.connect(&uri)).await;
            made.map_err(|_elapsed| ConnectError::Late { limit })?
        })
    }
}

type Moved = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Resolves once somebody is known to lead who is not at `base`. While nobody
/// does, whoever led may still answer.
fn moved(mut leader: Leader, base: String) -> Moved {
    Box::pin(async move {
        let elsewhere = |now: &Option<String>| now.as_ref().is_some_and(|now| *now != base);
        if leader.wait_for(elsewhere).await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// A connection of a client.
pub struct Link {
    stream: Stream,
    moved: Option<Moved>,
}

impl Link {
    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        self.moved.as_mut().is_some_and(|moved| moved.as_mut().poll(context).is_ready())
    }
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "somebody else leads now")))
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(context) {
            // Polled no more, whatever comes.
            self.moved = None;
            return cut();
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
