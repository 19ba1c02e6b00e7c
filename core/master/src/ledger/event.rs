//! What can happen to the ledger and what it wants done.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler;
use karman_api::session;
use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;

use super::Registration;

/// The event stream of a framework; its text is the `Mesos-Stream-Id`.
pub type StreamId = Arc<str>;

/// The connection of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

#[derive(Clone, Debug)]
pub enum Event {
    Subscribe {
        stream: StreamId,
        info: Box<v1::FrameworkInfo>,
        suppressed: Vec<String>,
        constraints: Option<Box<scheduler::OfferConstraints>>,
    },
    /// The framework hung up or did not read.
    StreamClosed {
        stream: StreamId,
    },
    /// Has passed [`super::Ledger::gate`].
    Call {
        framework: FrameworkId,
        call: Box<scheduler::Call>,
    },
    /// The first message of an agent's session; `ip` is where it came from.
    Register {
        session: SessionId,
        register: Box<Registration>,
        ip: IpAddr,
    },
    SessionClosed {
        session: SessionId,
    },
    Status {
        session: SessionId,
        update: Box<session::StatusUpdate>,
    },
    /// An executor speaks to its scheduler.
    ExecutorMessage {
        session: SessionId,
        message: Box<session::ExecutorMessage>,
    },
    ExecutorEnded {
        session: SessionId,
        ended: Box<session::ExecutorEnded>,
    },
    Pong {
        session: SessionId,
    },
    Tick,
}

#[derive(Clone, Debug)]
pub enum Effect {
    /// Store the present state of this object, or its absence, before any other
    /// effect of the same batch is released.
    Save(Key),
    Send {
        stream: StreamId,
        event: Box<scheduler::Event>,
    },
    /// After what was sent before.
    CloseStream(StreamId),
    Tell {
        session: SessionId,
        message: Box<session::master_message::Body>,
    },
    CloseSession(SessionId),
    Report(Report),
}

/// What an operator should know of and nobody else is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The agent came back with too little for these: they are no more.
    ReservationsLost { agent: AgentId, lost: Resources },
}

/// A stored object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Weights,
    Quotas,
    Maintenance,
    /// Stored before the agent is forgotten, so that it cannot come back between.
    Gone(AgentId),
    Agent(AgentId),
    Framework(FrameworkId),
}

/// Why a call is not let in; the order in which they are checked is that of the
/// variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallGate {
    Open,
    UnknownFramework,
    /// The caller is somebody else than the framework said to be.
    WrongPrincipal,
    Disconnected,
    NoStreamId,
    WrongStreamId,
}

/// What happened so far, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Tasks that reached a terminal state, by its name.
    pub tasks: BTreeMap<&'static str, u64>,
    pub calls: BTreeMap<&'static str, u64>,
    pub offers_sent: u64,
    pub offers_rescinded: u64,
    /// Tasks that reached a terminal state, by it, its source and its reason.
    pub causes: BTreeMap<(i32, i32, i32), u64>,
    /// All else, by the name of the metric.
    pub noted: BTreeMap<&'static str, u64>,
    pub agent_registrations: u64,
    pub agent_reregistrations: u64,
    pub agents_unreachable: u64,
}
