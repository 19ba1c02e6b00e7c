//! Emulated agents: real sessions with a real master, and no processes behind
//! them. Every task that they are told to launch runs at once.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use karman_api::mesos::v1::TaskState;
use karman_api::session::session_client::SessionClient;
use karman_api::session::{
    AgentMessage, Launch, MasterMessage, Pong, Register, StatusUpdate, agent_message,
    master_message,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::row::say;
use crate::shape;

/// So many connections go out from one address, which has a port for each.
const CONNECTIONS_PER_ADDRESS: usize = 20_000;
/// Files that are kept for other things than connections of agents.
const FILES_KEPT: u64 = 1_000;
/// Registrations that are under way at a time.
const DIALS: usize = 64;
const OUTGOING: usize = 4096;
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Agents that live until this is dropped.
pub(crate) struct Agents {
    running: tokio::task::JoinSet<()>,
}

impl Agents {
    /// Registers one agent for each of `registers` and returns when all are in.
    pub(crate) async fn start(
        session: &str,
        registers: impl ExactSizeIterator<Item = Register>,
    ) -> Result<Self> {
        let mut running = tokio::task::JoinSet::new();
        let (admitted, mut arrivals) = mpsc::channel::<Result<()>>(DIALS);
        let share = sessions_per_connection(registers.len())?;
        let (mut channel, mut begun, mut done) = (None, 0_usize, 0_usize);
        for register in registers {
            if begun.is_multiple_of(share) {
                channel = Some(endpoint(session, begun / share)?.connect_lazy());
            }
            let channel = channel.clone().context("no connection")?;
            begun += 1;
            let admitted = admitted.clone();
            running.spawn(async move {
                match open(channel, register).await {
                    Ok((agent, outgoing, incoming)) => {
                        let _gone = admitted.send(Ok(())).await;
                        live(agent, outgoing, incoming).await;
                    }
                    Err(error) => {
                        let _gone = admitted.send(Err(error)).await;
                    }
                }
            });
            while begun - done >= DIALS {
                arrivals.recv().await.context("no agent left")??;
                done += 1;
            }
        }
        while done < begun {
            arrivals.recv().await.context("no agent left")??;
            done += 1;
        }
        Ok(Self { running })
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }
}

/// Every agent has a connection of its own, as real ones do, where this system
/// lets a process have so many.
fn sessions_per_connection(agents: usize) -> Result<usize> {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let connections = usize::try_from(hard.saturating_sub(FILES_KEPT))?.max(1);
    let share = agents.div_ceil(connections).max(1);
    say(&format!("{agents} agents, {share} of them on a connection"));
    Ok(share)
}

fn endpoint(session: &str, at: usize) -> Result<Endpoint> {
    let host = u8::try_from(at / CONNECTIONS_PER_ADDRESS + 1)?;
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
    Ok(Endpoint::from_shared(session.to_owned())?.tcp_nodelay(true).local_address(Some(from)))
}

type Session = (String, mpsc::Sender<AgentMessage>, Streaming<MasterMessage>);

async fn open(channel: Channel, register: Register) -> Result<Session> {
    let mut client = SessionClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (outgoing, messages) = mpsc::channel(OUTGOING);
    let body = Some(agent_message::Body::Register(register));
    outgoing.send(AgentMessage { body }).await?;
    let mut incoming = client.open(ReceiverStream::new(messages)).await?.into_inner();
    let first = incoming.message().await?.and_then(|message| message.body);
    let Some(master_message::Body::Registered(registered)) = first else {
        anyhow::bail!("the master refuses an agent: {first:?}");
    };
    let agent = registered.agent_id.context("the master gives no id")?.value;
    Ok((agent, outgoing, incoming))
}

/// Does what the master says for as long as the session lasts.
async fn live(
    agent: String,
    outgoing: mpsc::Sender<AgentMessage>,
    mut incoming: Streaming<MasterMessage>,
) {
    while let Ok(Some(MasterMessage { body: Some(body) })) = incoming.message().await {
        let answers = match body {
            master_message::Body::Launch(launch) => launched(&agent, launch),
            master_message::Body::Ping(_) => vec![agent_message::Body::Pong(Pong {})],
            _ignored => Vec::new(),
        };
        for body in answers {
            if outgoing.send(AgentMessage { body: Some(body) }).await.is_err() {
                return;
            }
        }
    }
}

fn launched(agent: &str, launch: Launch) -> Vec<agent_message::Body> {
    let framework_id = launch.framework.and_then(|framework| framework.id);
    launch
        .tasks
        .iter()
        .map(|task| {
            let mut status = shape::status(agent, &task.task_id, TaskState::TaskRunning);
            status.uuid = Some(uuid().into());
            agent_message::Body::Status(StatusUpdate {
                framework_id: framework_id.clone(),
                status: Some(status),
                latest: None,
            })
        })
        .collect()
}

/// Different for every status; nothing here must be hard to guess.
fn uuid() -> Vec<u8> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed) as u128;
    number.to_be_bytes().to_vec()
}
