//! The agent's side of the stream to the leading master.
//!
//! Task: one. Inputs: messages of the master, the agent's messages. Outputs:
//! events. It reconnects for ever, to each configured master in turn, or to the
//! one that another names, unless a master says that the agent is removed.

use std::time::Duration;

use karman_api::session::master_message::Body;
use karman_api::session::session_client::SessionClient;
use karman_api::session::{
    AgentMessage, LEADER, LOST, MasterMessage, Register, Registered, Rejected, agent_message,
};
use karman_rt::time::now_ms;
use karman_rt::tls::{Files, Pem, Unreadable};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tracing::{debug, error, info, warn};

use crate::core::Event;

/// Messages to the master that were not sent yet.
const OUTGOING_MAX: usize = 4096;

/// A machine that does not answer is off, or cut off.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// For the answer to the registration; masters that wait for a leader take a
/// while.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Between two attempts; grows to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Whoever is refused asks again this late: an operator must do something first.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// The largest message of a master.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the session tells the agent.
#[derive(Debug)]
pub(crate) enum Change {
    /// A connection is there: who are we?
    Hello(oneshot::Sender<Register>),
    Registered {
        agent_id: String,
        master: String,
        outgoing: mpsc::Sender<AgentMessage>,
    },
    Message(Box<Body>),
    Lost,
    Rejected {
        reason: String,
        passes: bool,
    },
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("cannot connect")]
    Connect(#[from] tonic::transport::Error),
    #[error("the master did not answer in time")]
    Silent,
    #[error("the stream broke")]
    Broken(#[from] tonic::Status),
    #[error("the master closed the stream")]
    Closed,
    #[error("another master leads, at {leader}")]
    Elsewhere { leader: String },
    #[error("there is no certificate for the session")]
    Certificate(#[from] Unreadable),
    #[error("the master sent something else than an answer to the registration")]
    Protocol,
    #[error("the master refuses this agent: {reason}")]
    Rejected { reason: String, passes: bool },
    #[error("the master removed this agent for ever")]
    Removed,
    #[error("the agent is stopping")]
    Stopping,
}

/// Whom to ask next.
struct Masters {
    configured: Vec<String>,
    next: usize,
    /// Named by another master; asked once.
    leader: Option<String>,
    /// Led when the session broke, or did not answer as the leader: the others
    /// know first who is next.
    lost: Option<String>,
}

impl Masters {
    fn new(configured: Vec<String>) -> Self {
        Self { configured, next: 0, leader: None, lost: None }
    }

    fn next(&mut self) -> Option<String> {
        if let Some(leader) = self.leader.take() {
            return Some(leader);
        }
        let mut turn = || {
            let turn = self.configured.get(self.next % self.configured.len().max(1));
            self.next += 1;
            turn.cloned()
        };
        let master = turn();
        if master.is_some() && master == self.lost { turn() } else { master }
    }

    /// What is learned from a session that ended with `master`.
    fn learn(&mut self, master: String, registered: bool, was_named: bool, ended: &Ended) {
        if let Ended::Elsewhere { leader } = ended {
            self.leader = Some(leader.clone()).filter(|leader| *leader != master);
        } else if registered || was_named {
            self.lost = Some(master);
        }
    }
}

/// Keeps a session for as long as it is polled.
pub(crate) async fn run(masters: Vec<String>, tls: Option<Files>, events: mpsc::Sender<Event>) {
    let mut backoff = BACKOFF_MIN;
    let mut refused = String::new();
    let mut masters = Masters::new(masters);
    loop {
        let was_named = masters.leader.is_some();
        let Some(master) = masters.next() else { return };
        let mut registered = false;
        let to = To { master: &master, lost: masters.lost.as_deref(), tls: tls.as_ref() };
        let ended = session(to, &events, &mut registered).await;
        if registered {
            backoff = BACKOFF_MIN;
            warn!(master, error = karman_rt::chain(&ended), "session lost");
        } else {
            debug!(master, error = karman_rt::chain(&ended), "no session");
        }
        if let Ended::Rejected { reason, passes } = &ended {
            // Said once: it is asked again until an operator does something.
            if refused != *reason {
                error!(master, reason, "the master refuses this agent");
                refused.clone_from(reason);
            }
            backoff = REFUSED_PAUSE;
            let change = Change::Rejected { reason: reason.clone(), passes: *passes };
            let _stopping = events.send(Event::Session(change)).await;
        }
        if matches!(ended, Ended::Stopping | Ended::Removed)
            || events.send(Event::Session(Change::Lost)).await.is_err()
        {
            return;
        }
        let pause = jittered(backoff);
        backoff = (backoff * 2).min(BACKOFF_MAX);
        masters.learn(master, registered, was_named, &ended);
        tokio::time::sleep(pause).await;
    }
}

/// So that a thousand agents do not come back in the same instant: between
/// half and the whole.
fn jittered(backoff: Duration) -> Duration {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    let permille = u32::try_from(random % 500).unwrap_or(0);
    backoff / 2 + backoff * permille / 1000
}

/// Where a session is opened, and how.
#[derive(Clone, Copy)]
struct To<'a> {
    master: &'a str,
    lost: Option<&'a str>,
    tls: Option<&'a Files>,
}

async fn session(to: To<'_>, events: &mpsc::Sender<Event>, registered: &mut bool) -> Ended {
    match try_session(to, events, registered).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

/// TLS on both sides; the files may have been replaced since the last session.
fn secured(files: &Files) -> Result<ClientTlsConfig, Ended> {
    let Pem { ca, certificate, key } = files.read()?;
    let (identity, authority) = (Identity::from_pem(certificate, key), Certificate::from_pem(ca));
    Ok(ClientTlsConfig::new().identity(identity).ca_certificate(authority))
}

/// A master that does not lead may say who does.
fn refused(status: tonic::Status) -> Ended {
    let leader = status.metadata().get(LEADER).and_then(|leader| leader.to_str().ok());
    match leader {
        Some(leader) => Ended::Elsewhere { leader: leader.to_owned() },
        None => Ended::Broken(status),
    }
}

async fn try_session(
    To { master, lost, tls }: To<'_>,
    events: &mpsc::Sender<Event>,
    registered: &mut bool,
) -> Result<std::convert::Infallible, Ended> {
    let mut endpoint =
        Endpoint::from_shared(master.to_owned())?.connect_timeout(CONNECT_MAX).tcp_nodelay(true);
    if let Some(files) = tls {
        endpoint = endpoint.tls_config(secured(files)?)?;
    }
    let mut client =
        SessionClient::new(endpoint.connect().await?).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (ask, answer) = oneshot::channel();
    events.send(Event::Session(Change::Hello(ask))).await.map_err(|_| Ended::Stopping)?;
    let register = answer.await.map_err(|_| Ended::Stopping)?;

    let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
    let first = AgentMessage { body: Some(agent_message::Body::Register(register)) };
    outgoing.send(first).await.map_err(|_| Ended::Stopping)?;
    let mut request = tonic::Request::new(ReceiverStream::new(messages));
    if let Some(lost) = lost.and_then(|lost| lost.parse().ok()) {
        request.metadata_mut().insert(LOST, lost);
    }
    let open = client.open(request);
    let opened = timeout(ANSWER_MAX, open).await.map_err(|_| Ended::Silent)?;
    let mut incoming = opened.map_err(refused)?.into_inner();

    let answer = timeout(ANSWER_MAX, incoming.message())
        .await
        .map_err(|_| Ended::Silent)??
        .ok_or(Ended::Closed)?;
    if let Some(body @ Body::Shutdown(_)) = answer.body {
        return Err(removed(events, body).await);
    }
    let RegisteredParts { agent_id, ping_timeout_ms } = answered(answer)?;
    *registered = true;
    info!(master, agent_id = agent_id.value, "registered");
    let change = Change::Registered {
        agent_id: agent_id.value,
        master: master.to_owned(),
        outgoing: outgoing.clone(),
    };
    events.send(Event::Session(change)).await.map_err(|_| Ended::Stopping)?;
    let silence_max = Duration::from_millis(ping_timeout_ms.max(1));
    let mut pinged_ms = now_ms();
    loop {
        let message =
            timeout(silence_max, incoming.message()).await.map_err(|_| Ended::Silent)??;
        let MasterMessage { body } = message.ok_or(Ended::Closed)?;
        // Other messages do not prove that our own still arrive.
        if now_ms().saturating_sub(pinged_ms) > ping_timeout_ms.max(1) * 2 {
            return Err(Ended::Silent);
        }
        match body {
            Some(Body::Ping(_)) => {
                pinged_ms = now_ms();
                let pong =
                    AgentMessage { body: Some(agent_message::Body::Pong(Default::default())) };
                outgoing.send(pong).await.map_err(|_| Ended::Closed)?;
            }
            Some(body @ Body::Shutdown(_)) => return Err(removed(events, body).await),
            Some(body) => {
                events
                    .send(Event::Session(Change::Message(Box::new(body))))
                    .await
                    .map_err(|_| Ended::Stopping)?;
            }
            // From a newer master: not for us.
            None => {}
        }
    }
}

/// No master wants to hear of this agent again.
async fn removed(events: &mpsc::Sender<Event>, body: Body) -> Ended {
    match events.send(Event::Session(Change::Message(Box::new(body)))).await {
        Ok(()) => Ended::Removed,
        Err(_) => Ended::Stopping,
    }
}

fn answered(message: MasterMessage) -> Result<RegisteredParts, Ended> {
    match message.body {
        Some(Body::Registered(Registered {
            agent_id: Some(agent_id),
            master_id: _,
            ping_timeout_ms,
        })) => Ok(RegisteredParts { agent_id, ping_timeout_ms }),
        Some(Body::Rejected(Rejected { reason, passes })) => {
            Err(Ended::Rejected { reason, passes })
        }
        _ => Err(Ended::Protocol),
    }
}

/// An answer with everything in it.
struct RegisteredParts {
    agent_id: karman_api::mesos::v1::AgentId,
    ping_timeout_ms: u64,
}

#[cfg(test)]
mod tests;
