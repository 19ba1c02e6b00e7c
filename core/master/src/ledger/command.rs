//! What an operator can ask for, and why it is refused.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::Schedule;
use karman_api::mesos::v1::quota::{QuotaConfig, QuotaRequest};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::time::Timestamp;

use super::{Effect, Ledger};

/// A change that an operator wants. It happens wholly or not at all.
#[derive(Clone, Debug)]
pub enum Command {
    Teardown {
        framework: FrameworkId,
    },
    UpdateWeights {
        weights: Vec<v1::WeightInfo>,
    },
    /// `force`: even where more is in use than the new limits allow.
    UpdateQuota {
        force: bool,
        configs: Vec<QuotaConfig>,
    },
    /// The deprecated way: only for a role without quota.
    SetQuota {
        request: Box<QuotaRequest>,
    },
    /// Only from a role that has one.
    RemoveQuota {
        role: String,
    },
    UpdateSchedule {
        schedule: Schedule,
    },
    StartMaintenance {
        machines: Vec<v1::MachineId>,
    },
    StopMaintenance {
        machines: Vec<v1::MachineId>,
    },
    Drain {
        agent: AgentId,
        max_grace: Option<Duration>,
        mark_gone: bool,
    },
    Deactivate {
        agent: AgentId,
    },
    Reactivate {
        agent: AgentId,
    },
    MarkGone {
        agent: AgentId,
    },
    /// RESERVE, UNRESERVE, CREATE, DESTROY, `GROW_VOLUME` or `SHRINK_VOLUME` on what
    /// the agent has, taking back offers where that is needed.
    Operate {
        agent: AgentId,
        principal: Option<String>,
        operation: Box<v1::offer::Operation>,
    },
}

/// Why a command is not carried out; each kind has a status of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400
    #[error("{0}")]
    Invalid(String),
    /// 403
    #[error("{0}")]
    Forbidden(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 409
    #[error("{0}")]
    Conflict(String),
    /// 501
    #[error("{0} is not supported by this release")]
    Unsupported(&'static str),
}

impl Ledger {
    /// Carries the command out, or changes nothing.
    pub fn command(&mut self, now: Timestamp, command: Command) -> Result<Vec<Effect>, Refusal> {
        let now = self.advance(now);
        match command {
            Command::Teardown { framework } => self.teardown(now, &framework),
            Command::UpdateWeights { weights } => self.update_weights(weights),
            Command::UpdateQuota { force, configs } => self.update_quota(force, &configs),
            Command::SetQuota { request } => self.set_quota(&request),
            Command::RemoveQuota { role } => self.remove_quota(&role),
            Command::UpdateSchedule { schedule } => self.update_schedule(schedule),
            Command::StartMaintenance { machines } => self.start_maintenance(now, &machines),
            Command::StopMaintenance { machines } => self.stop_maintenance(&machines),
            Command::Drain { agent, max_grace, mark_gone } => {
                self.drain(now, &agent, max_grace, mark_gone)
            }
            Command::Deactivate { agent } => self.deactivate(&agent),
            Command::Reactivate { agent } => self.reactivate(&agent),
            Command::MarkGone { agent } => self.mark_gone(now, &agent),
            Command::Operate { agent, principal, operation } => {
                self.operate_from_outside(&agent, principal.as_deref(), &operation)
            }
        }?;
        self.settle(now);
        Ok(std::mem::take(&mut self.effects))
    }

    fn teardown(&mut self, now: Timestamp, framework: &FrameworkId) -> Result<(), Refusal> {
        if !self.frameworks.contains_key(framework) {
            return Err(Refusal::Invalid("No framework found with specified ID".to_owned()));
        }
        self.remove_framework(now, framework);
        Ok(())
    }
}
