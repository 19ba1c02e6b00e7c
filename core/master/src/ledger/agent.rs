//! One agent as the master knows it.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use karman_allocator::{Domain, Machine};
use karman_api::convert;
use karman_api::mesos::v1;
use karman_model::id::{AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::drain::Standing;
use super::task::Shown;
use super::{Executor, Operation, SessionId};

/// The port where agents serve their API unless they say another.
const PORT: u16 = 5051;

/// Whether the agent is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Registered,
    /// Its session broke; it keeps its tasks for a while.
    Disconnected,
    /// Away for too long; its tasks may or may not run.
    Unreachable {
        since: Timestamp,
    },
    /// Admitted before this master started and not back yet.
    Recovered,
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub id: AgentId,
    pub info: Arc<v1::AgentInfo>,
    pub ip: IpAddr,
    pub version: String,
    pub presence: Presence,
    pub session: Option<SessionId>,
    pub registered: Timestamp,
    pub reregistered: Option<Timestamp>,
    /// With all reservations and volumes, which the master keeps.
    pub total: Resources,
    /// Of tasks that are not terminal, and of their executors.
    pub used: Resources,
    pub offered: Resources,
    pub tasks: BTreeSet<(FrameworkId, TaskId)>,
    /// What it ran when it became unreachable.
    pub lost: BTreeSet<(FrameworkId, TaskId)>,
    pub offers: BTreeSet<OfferId>,
    pub executors: BTreeMap<(FrameworkId, ExecutorId), Arc<Executor>>,
    /// That the framework has yet to acknowledge.
    pub operations: BTreeMap<(FrameworkId, OperationId), Arc<Operation>>,
    /// When it is given up, while it is away.
    pub deadline: Option<Timestamp>,
    /// Pings since its last answer.
    pub pings_missed: u32,
    pub(crate) shown: Shown,
    pub(crate) shown_outline: Shown,
    pub capabilities: Vec<v1::agent_info::Capability>,
    /// Which boot of its machine it said it is of.
    pub boot: String,
    /// It has shown that it knows its id.
    pub confirmed: bool,
    pub standing: Standing,
}

impl Agent {
    pub fn port(&self) -> u16 {
        self.info.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT)
    }

    /// How Mesos names its process; clients take the address out of it.
    pub fn pid(&self) -> String {
        format!("slave(1)@{}:{}", self.ip, self.port())
    }

    /// What the allocator is to know of it.
    pub fn machine(&self) -> Machine {
        let domain = self.info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        Machine {
            total: self.total.clone(),
            hostname: self.info.hostname.clone(),
            // Were checked when it registered.
            attributes: convert::attributes_from_wire(&self.info.attributes).unwrap_or_default(),
            domain: domain.map(|domain| Domain {
                region: domain.region.name.clone(),
                zone: domain.zone.name.clone(),
            }),
        }
    }

    /// Admitted before this master started and not back yet.
    pub const fn is_awaited(&self) -> bool {
        matches!(self.presence, Presence::Recovered)
    }

    pub const fn is_registered(&self) -> bool {
        matches!(self.presence, Presence::Registered)
    }
}
