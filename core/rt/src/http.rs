//! The HTTP server that every role uses: HTTP/1.1 and HTTP/2 on one port, with or
//! without TLS, a limit on bodies, panics answered with 500, graceful stop. And
//! the client with which roles reach each other.

mod connector;
mod door;
mod socket;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tracing::{debug, warn};

use self::door::Speaks;
use self::socket::Socket;
use crate::Tasks;
use crate::tls::Peer;

pub use self::connector::{ConnectError, Connector, Leader, Reach};
pub use self::door::{Door, Doors};
pub use self::socket::Connection;

/// The largest request body accepted, in bytes; larger ones answer 413.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The media type of bodies that are records, one after the other.
const RECORDS: &[u8] = b"application/recordio";

/// A body over the limit is read up to this many bytes, and for this long, before
/// it is refused: a client that is still sending when the connection closes sees
/// a broken pipe instead of the answer.
const REFUSED_BYTES_MAX: u64 = 256 * 1024 * 1024;
const REFUSED_TIME_MAX: Duration = Duration::from_secs(10);

/// A pause after a failed accept, which mostly means that descriptors ran out:
/// trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long open connections may finish their request after a stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A client that does not send its request head for this long is dropped.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Could not listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {}", explain(.source))]
pub struct BindError {
    pub address: SocketAddr,
    pub purpose: &'static str,
    #[source]
    pub source: io::Error,
}

fn explain(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process uses this port; stop it or choose another port"
        }
        io::ErrorKind::PermissionDenied => "not permitted; run as root or choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "the operating system refused",
    }
}

/// Listens on `address`; `purpose` is named in the error.
pub async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, purpose, source })
}

/// Serves `router` at `doors` until the tasks are stopped, with bodies of up to
/// [`BODY_BYTES_MAX`].
pub fn serve(name: &'static str, doors: impl Into<Doors>, router: Router, tasks: &Tasks) {
    accept_all(name, doors.into(), &limited(router), None, tasks);
}

/// As [`serve`]; the bodies of requests to `streams` may go on for ever, and what
/// is read of them at once is their own affair.
pub fn serve_with_streams(
    name: &'static str,
    doors: impl Into<Doors>,
    router: Router,
    streams: Router,
    tasks: &Tasks,
) {
    let unlimited = streams.layer(DefaultBodyLimit::disable()).layer(CatchPanicLayer::new());
    accept_all(name, doors.into(), &limited(router).merge(unlimited), None, tasks);
}

/// As [`serve`], for who passes on: a body of records may go on for ever, since
/// whoever it is for takes one after the other.
pub fn serve_to_pass_on(
    name: &'static str,
    doors: impl Into<Doors>,
    router: Router,
    tasks: &Tasks,
) {
    let whole = limited(router.clone());
    let records = router.layer(DefaultBodyLimit::disable()).layer(CatchPanicLayer::new());
    let choose = move |request: Request| {
        let content = request.headers().get(header::CONTENT_TYPE);
        let is_records = content.is_some_and(|content| content.as_bytes() == RECORDS);
        let router = if is_records { records.clone() } else { whole.clone() };
        async move { router.oneshot(request).await }
    };
    accept_all(name, doors.into(), &Router::new().fallback(choose), None, tasks);
}

/// As [`serve`], for answers that are large or never end: a peer that takes
/// nothing of what waits for it for `unread_max` is cut off.
pub fn serve_to_readers(
    name: &'static str,
    doors: impl Into<Doors>,
    router: Router,
    unread_max: Duration,
    tasks: &Tasks,
) {
    accept_all(name, doors.into(), &limited(router), Some(unread_max), tasks);
}

fn accept_all(
    name: &'static str,
    Doors { first, more }: Doors,
    router: &Router,
    unread_max: Option<Duration>,
    tasks: &Tasks,
) {
    for door in std::iter::once(first).chain(more) {
        accept(name, door, router.clone(), unread_max, tasks);
    }
}

fn limited(router: Router) -> Router {
    router
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn(refuse_large_bodies))
        .layer(CatchPanicLayer::new())
}

/// Answers 413 to a request that declares a body over the limit. One that hides
/// its length is cut off by the limit itself.
async fn refuse_large_bodies(request: Request, next: Next) -> Response {
    let declared = request.body().size_hint().lower();
    if declared <= BODY_BYTES_MAX as u64 {
        return next.run(request).await;
    }
    let expects_answer_first = request.headers().contains_key(header::EXPECT);
    if declared <= REFUSED_BYTES_MAX && !expects_answer_first {
        let mut body = request.into_body();
        let drain = async { while let Some(Ok(_discarded)) = body.frame().await {} };
        // Whoever is slower than that gets the broken pipe.
        let _timed_out = tokio::time::timeout(REFUSED_TIME_MAX, drain).await.is_err();
    }
    let message = format!("the body has {declared} bytes; the limit is {BODY_BYTES_MAX}");
    let body = serde_json::json!({ "message": message }).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::PAYLOAD_TOO_LARGE, headers, body).into_response()
}

fn accept(
    name: &'static str,
    Door { listener, speaks }: Door,
    router: Router,
    unread_max: Option<Duration>,
    tasks: &Tasks,
) {
    let stop = tasks.clone();
    tasks.spawn_graceful(name, async move {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Small frames of event streams must not wait for more.
                    let _unimportant = stream.set_nodelay(true);
                    let visit = Visit { name, address: peer, router: router.clone(), unread_max };
                    visit.begin(stream, &speaks, &graceful, &stop);
                }
                Err(error) => {
                    warn!(server = name, error = crate::chain(&error), "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            debug!(server = name, "connections cut at the end of the drain time");
        }
    });
}

/// Among the extensions of requests that came over TLS.
#[derive(Clone, Copy, Debug)]
pub struct Secured;

/// A client that has connected.
struct Visit {
    name: &'static str,
    address: SocketAddr,
    router: Router,
    unread_max: Option<Duration>,
}

impl Visit {
    fn begin(
        self,
        stream: tokio::net::TcpStream,
        speaks: &Speaks,
        graceful: &GracefulShutdown,
        tasks: &Tasks,
    ) {
        let (speaks, watcher, stopping) = (speaks.clone(), graceful.watcher(), tasks.clone());
        tasks.spawn_graceful(self.name, async move {
            let greeted = tokio::select! {
                greeted = speaks.greet(stream) => greeted,
                () = stopping.cancelled() => return,
            };
            match greeted {
                Ok((stream, peer)) => {
                    let socket = Socket::new(stream, self.unread_max);
                    self.serve(socket, peer, watcher, &stopping).await;
                }
                Err(refused) => {
                    let Self { name, address, .. } = self;
                    debug!(server = name, peer = %address, error = crate::chain(&refused), "refused");
                }
            }
        });
    }

    async fn serve(self, socket: Socket, peer: Option<Peer>, watcher: Watcher, stopping: &Tasks) {
        let Self { name, address, router, unread_max } = self;
        let secured = socket.is_secured();
        let own = socket.connection.clone();
        let of_requests = own.clone();
        let service =
            hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                let extensions = request.extensions_mut();
                extensions.insert(axum::extract::ConnectInfo(address));
                extensions.insert(of_requests.clone());
                if let Some(peer) = peer {
                    extensions.insert(peer);
                }
                if secured {
                    extensions.insert(Secured);
                }
                let router = router.clone();
                async move {
                    let response = router.oneshot(request.map(Body::new)).await;
                    Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
                }
            });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Not `pipeline_flush`: with it hyper buffers all that a body has, without a
        // limit, and a reader that does not read costs memory instead of its stream.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        if let Some(unread_max) = unread_max {
            // HTTP/2 stops to write before the socket is full; one that reads nothing
            // does not answer a ping either.
            builder.http2().keep_alive_interval(unread_max / 2).keep_alive_timeout(unread_max / 2);
        }
        let connection =
            builder.serve_connection_with_upgrades(TokioIo::new(socket), service).into_owned();
        // Event streams never end by themselves: they get the drain time.
        let drained = async {
            stopping.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            result = watcher.watch(connection) => {
                if let Err(error) = result {
                    debug!(server = name, peer = %address, error = error.to_string(), "connection ended");
                }
            }
            () = drained => {}
            () = own.closed() => debug!(server = name, peer = %address, "connection closed"),
        }
    }
}

/// A pooled client for other roles; streams are passed on as they come. Cheap to
/// clone; clones share connections.
pub fn client<B>(
    reach: Reach,
    connect_timeout: Duration,
    idle_timeout: Duration,
) -> Client<Connector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(idle_timeout)
        .pool_timer(TokioTimer::new())
        .build(Connector::new(reach, connect_timeout))
}

#[cfg(test)]
mod tests;
