//! The server from which machines join: the script, the installer, admission.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::admit::{Error, admit};
use super::{Identity, Request, script};
use crate::bundle::SigningKey;
use crate::crew::Crew;

/// A request has the facts of a machine and a few keys in it.
const BODY_BYTES_MAX: usize = 1 << 20;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Fetching the installer over a slow line.
const CONNECTION_LIMIT: Duration = Duration::from_secs(900);
const CONNECTIONS_MAX: usize = 256;

/// What is served, and as whom.
#[derive(Debug)]
pub struct Settings {
    /// The address that machines use.
    pub url: String,
    pub identity: Identity,
    pub key: SigningKey,
    pub installer: Bytes,
    pub sha256: String,
}

struct Desk {
    crew: Crew,
    settings: Settings,
    /// One admission at a time: they change the same files.
    turn: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Peer(IpAddr);

/// Serves until `stop`; `tell` hears who joined and who was refused.
pub async fn serve(
    crew: Crew,
    settings: Settings,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(&settings.identity.config));
    let desk = Arc::new(Desk { crew, settings, turn: Mutex::new(()) });
    let router = Router::new()
        .route("/", get(install_script))
        .route("/install.sh", get(install_script))
        .route("/karman-installer", get(installer))
        .route("/join", post(join))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        // Too many open files pass; a listener does not break.
        let Ok((stream, peer)) = accepted else { continue };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        let (acceptor, router) = (acceptor.clone(), router.clone());
        connections.spawn(async move {
            let Ok(Ok(stream)) = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await else {
                return;
            };
            let service = TowerToHyperService::new(router.layer(Extension(Peer(ip(peer)))));
            let builder = Builder::new(TokioExecutor::new());
            // Whoever breaks off comes again.
            let _broken =
                timeout(CONNECTION_LIMIT, builder.serve_connection(TokioIo::new(stream), service))
                    .await;
        });
    }
    connections.shutdown().await;
    Ok(())
}

/// Two families on one socket show the older one inside of the newer.
fn ip(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

async fn install_script(State(desk): State<Arc<Desk>>) -> Response {
    let Settings { url, identity, key, sha256, .. } = &desk.settings;
    let text = script(url, &identity.pin, sha256, &key.public());
    ([(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8")], text).into_response()
}

async fn installer(State(desk): State<Arc<Desk>>) -> Response {
    let body = Body::from(desk.settings.installer.clone());
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

async fn join(
    State(desk): State<Arc<Desk>>,
    Extension(Peer(peer)): Extension<Peer>,
    Json(request): Json<Request>,
) -> Response {
    let admission = tokio::task::spawn_blocking(move || {
        let _turn = desk.turn.lock();
        let Desk { crew, settings, .. } = &*desk;
        let admitted = admit(crew, &settings.key, &request, peer, Timestamp::now());
        note(&request, peer, &admitted);
        admitted
    });
    match admission.await.context("the admission broke off") {
        Ok(Ok((_, answer))) => Json(answer).into_response(),
        Ok(Err(Error::Refused(why))) => (StatusCode::FORBIDDEN, why).into_response(),
        Ok(Err(Error::Failed(error))) | Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the server is a command in a terminal")]
fn note(request: &Request, peer: IpAddr, admitted: &Result<(IpAddr, super::Answer), Error>) {
    let role = request.role.name();
    let host = &request.facts.host;
    match admitted {
        Ok((address, _)) => eprintln!("admitted {address} ({host}) as {role}"),
        Err(Error::Refused(why)) => eprintln!("refused {peer} ({host}) as {role}: {why}"),
        Err(Error::Failed(error)) => eprintln!("failed for {peer} ({host}): {error:#}"),
    }
}
