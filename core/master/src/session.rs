//! The server of the agents' sessions.
//!
//! Task: one per session, reading. Inputs: messages of the agent. Outputs:
//! events for the core, which writes the other direction by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use karman_api::session::agent_message::Body;
use karman_api::session::master_message::Body as MessageBody;
use karman_api::session::session_server::{Session, SessionServer};
use karman_api::session::{AgentMessage, LEADER, LOST, MasterMessage};
use karman_rt::Tasks;
use karman_rt::tls::{Files, Pem, Unreadable};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::core::{MESSAGES_QUEUE_MAX, Request as CoreRequest};
use crate::elsewhere::Elsewhere;
use crate::ledger::{Event, Registration, SessionId};

/// An agent that connects must register within this time.
const REGISTER_MAX: Duration = Duration::from_secs(10);
/// The largest message of an agent: its registration, with all of its tasks.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The server of a master, which may not lead yet.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    core: mpsc::Sender<CoreRequest>,
    leading: watch::Receiver<bool>,
    elsewhere: Elsewhere,
    tasks: Tasks,
    made: Arc<AtomicU64>,
}

/// Why sessions cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no certificate for the agents' sessions")]
    Read(#[from] Unreadable),
    #[error("the certificate for the agents' sessions cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

/// TLS on both sides.
fn secured(files: &Files) -> Result<ServerTlsConfig, Error> {
    let Pem { ca, certificate, key } = files.read()?;
    let (identity, authority) = (Identity::from_pem(certificate, key), Certificate::from_pem(ca));
    Ok(ServerTlsConfig::new().identity(identity).client_ca_root(authority))
}

impl Server {
    pub(crate) fn new(
        core: mpsc::Sender<CoreRequest>,
        leading: watch::Receiver<bool>,
        elsewhere: Elsewhere,
        tasks: &Tasks,
    ) -> Self {
        Self { core, leading, elsewhere, tasks: tasks.clone(), made: Arc::default() }
    }

    /// Serves sessions until the tasks are stopped; with `tls` to agents that show
    /// a certificate of the cluster only.
    pub(crate) fn serve(self, listener: TcpListener, tls: Option<&Files>) -> Result<(), Error> {
        let mut builder = tonic::transport::Server::builder();
        if let Some(files) = tls {
            builder = builder.tls_config(secured(files)?).map_err(Error::Tls)?;
        }
        let tasks = self.tasks.clone();
        let service = SessionServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let connections = TcpListenerStream::new(listener).inspect(|connection| {
            if let Ok(stream) = connection {
                // Small messages must not wait for more.
                let _unimportant = stream.set_nodelay(true);
            }
        });
        tasks.spawn_critical("sessions", async move {
            builder.add_service(service).serve_with_incoming(connections).await
        });
        Ok(())
    }

    /// Waits until this master leads, or says who does: whoever comes between two
    /// leaders is sent to the next one as soon as there is one.
    async fn leads(&self, lost: Option<&str>) -> Result<(), Status> {
        let (mut leading, mut elsewhere) = (self.leading.clone(), self.elsewhere.clone());
        tokio::select! {
            biased;
            leads = leading.wait_for(|leads| *leads) => {
                leads.map(drop).map_err(|_closed| Status::unavailable("the master is stopping"))
            }
            urls = elsewhere.known_after(lost) => {
                let mut status = Status::unavailable("another master leads");
                let leader = urls.and_then(|urls| urls.session.parse().ok());
                if let Some(leader) = leader {
                    status.metadata_mut().insert(LEADER, leader);
                }
                Err(status)
            }
        }
    }
}

#[tonic::async_trait]
impl Session for Server {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<MasterMessage, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let lost = request.metadata().get(LOST).and_then(|lost| lost.to_str().ok());
        self.leads(lost).await?;
        let ip =
            request.remote_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
        let session = SessionId(self.made.fetch_add(1, Ordering::Relaxed));
        let (messages, outgoing) = mpsc::channel(MESSAGES_QUEUE_MAX);
        let reader = Reader { session, incoming: request.into_inner(), core: self.core.clone() };
        self.tasks.spawn("session", reader.run(ip, messages));
        let message = |body: Box<MessageBody>| MasterMessage { body: Some(*body) };
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing).map(message).map(Ok))))
    }
}

/// Reads one agent's session.
struct Reader {
    session: SessionId,
    incoming: Streaming<AgentMessage>,
    core: mpsc::Sender<CoreRequest>,
}

impl Reader {
    async fn run(mut self, ip: IpAddr, messages: mpsc::Sender<Box<MessageBody>>) {
        // What registering takes must not be held for the life of the session.
        let registered = Box::pin(self.register(ip, messages)).await;
        let forwarded = match registered {
            Ok(cut) => cut.run_until_cancelled(self.forward()).await.unwrap_or(Ok(())),
            Err(refused) => return ended(self.session, &refused),
        };
        if let Err(broken) = forwarded {
            ended(self.session, &broken);
        }
        let closed = Event::SessionClosed { session: self.session };
        // Without a core nobody wants to know.
        let _stopping = self.core.send(CoreRequest::Happened(closed)).await;
    }

    /// The token is cancelled when nobody wants to hear more from the agent.
    async fn register(
        &mut self,
        ip: IpAddr,
        messages: mpsc::Sender<Box<MessageBody>>,
    ) -> Result<CancellationToken, Status> {
        let first = tokio::time::timeout(REGISTER_MAX, self.incoming.message()).await.map_err(
            |_elapsed| Status::deadline_exceeded("the agent did not register in time"),
        )??;
        let Some(AgentMessage { body: Some(Body::Register(register)) }) = first else {
            return Err(Status::invalid_argument("the first message must be a registration"));
        };
        let cut = CancellationToken::new();
        let (session, reader) = (self.session, cut.clone());
        let register = Box::new(Registration::from(register));
        let request = CoreRequest::Register { session, messages, reader, register, ip };
        let sent = self.core.send(request).await;
        sent.map_err(|_closed| Status::unavailable("the master is stopping"))?;
        Ok(cut)
    }

    async fn forward(&mut self) -> Result<(), Status> {
        while let Some(AgentMessage { body }) = self.incoming.message().await? {
            let event = match body {
                Some(body) => event(self.session, body)?,
                // From a newer release.
                None => continue,
            };
            if self.core.send(CoreRequest::Happened(event)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn ended(session: SessionId, status: &Status) {
    debug!(session = session.0, error = status.message(), "session ended");
}

fn event(session: SessionId, body: Body) -> Result<Event, Status> {
    Ok(match body {
        Body::Status(update) => Event::Status { session, update: Box::new(update) },
        Body::Pong(_) => Event::Pong { session },
        Body::Register(_) => {
            return Err(Status::invalid_argument("an agent registers once per session"));
        }
        Body::Message(message) => Event::ExecutorMessage { session, message: Box::new(message) },
        Body::ExecutorEnded(ended) => Event::ExecutorEnded { session, ended: Box::new(ended) },
    })
}
