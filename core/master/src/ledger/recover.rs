//! What is stored of the books, and how they are opened again after a restart.
//! Tasks are not stored: they come back with their agents.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::Schedule;
use karman_api::mesos::v1::quota::QuotaConfig;
use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::task::Shown;
use super::{
    Agent, Drain, Effect, Framework, Key, Ledger, Link, Presence, Standing, StoredOperation, Timer,
    gone,
};

/// A framework that was connected when the master stopped gets at least this
/// long to come back, however short its failover timeout: it did not leave.
pub(super) const RETURN_GRACE: Duration = Duration::from_secs(60);

/// Where roles have quotas, nothing is offered after a restart before so many
/// percent of the agents are back: what the others hold counts for the roles
/// that have it.
const RECOVERY_PERCENT: usize = 80;
/// Nor for longer than this.
const RECOVERY_MAX: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
pub struct StoredAgent {
    pub id: AgentId,
    pub info: v1::AgentInfo,
    pub ip: IpAddr,
    pub version: String,
    pub registered: Timestamp,
    pub unreachable: Option<Timestamp>,
    pub deactivated: bool,
    pub drain: Option<Drain>,
    /// With reservations and volumes; `None` if there are none.
    pub total: Option<Vec<v1::Resource>>,
    /// That are not acknowledged.
    pub operations: Vec<StoredOperation>,
}

#[derive(Clone, Debug)]
pub enum StoredFramework {
    Known {
        id: FrameworkId,
        info: Box<v1::FrameworkInfo>,
        registered: Timestamp,
        /// `None` while it is connected.
        deadline: Option<Timestamp>,
    },
    /// Its id can never be used again.
    Removed { id: FrameworkId },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredMaintenance {
    pub schedule: Schedule,
    pub down: Vec<v1::MachineId>,
}

/// Everything that is stored.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub agents: Vec<StoredAgent>,
    pub frameworks: Vec<StoredFramework>,
    pub weights: Vec<v1::WeightInfo>,
    pub quotas: Vec<QuotaConfig>,
    pub maintenance: StoredMaintenance,
    /// Agents that were removed for ever, and when.
    pub gone: Vec<(AgentId, Timestamp)>,
}

impl Contents {
    /// Takes in what was read from other objects of the same store.
    pub fn absorb(&mut self, other: Self) {
        let Self { agents, frameworks, weights, quotas, maintenance, gone } = other;
        self.agents.extend(agents);
        self.frameworks.extend(frameworks);
        self.weights.extend(weights);
        self.quotas.extend(quotas);
        self.gone.extend(gone);
        self.maintenance.schedule.windows.extend(maintenance.schedule.windows);
        self.maintenance.down.extend(maintenance.down);
    }
}

/// Why what is stored cannot be: another release, or a damaged store.
#[derive(Debug, thiserror::Error)]
pub enum Unrestorable {
    #[error("the stored quotas are wrong: {0}")]
    Quotas(String),
    #[error("the stored maintenance schedule is wrong: {0}")]
    Maintenance(String),
}

impl Ledger {
    /// The state of an object that is to be stored; `None`: delete it.
    pub fn stored_agent(&self, id: &AgentId) -> Option<StoredAgent> {
        let agent = self.agents.get(id)?;
        Some(StoredAgent {
            id: agent.id.clone(),
            info: (*agent.info).clone(),
            ip: agent.ip,
            version: agent.version.clone(),
            registered: agent.registered,
            unreachable: match agent.presence {
                Presence::Unreachable { since } => Some(since),
                Presence::Registered | Presence::Disconnected | Presence::Recovered => None,
            },
            deactivated: agent.standing.deactivated,
            drain: agent.standing.drain,
            total: agent
                .total
                .iter()
                .any(|resource| resource.kind != resource.kind.origin())
                .then(|| convert::resources_to_wire(&agent.total, convert::Format::Refined)),
            operations: agent.operations.values().map(|it| it.to_stored()).collect(),
        })
    }

    pub fn stored_framework(&self, id: &FrameworkId) -> Option<StoredFramework> {
        if self.removed_ids.contains(id) {
            return Some(StoredFramework::Removed { id: id.clone() });
        }
        let framework = self.frameworks.get(id)?;
        Some(StoredFramework::Known {
            id: framework.id.clone(),
            info: Box::new((*framework.info).clone()),
            registered: framework.registered,
            deadline: framework.deadline(),
        })
    }

    pub fn stored_gone(&self, id: &AgentId) -> Option<Timestamp> {
        self.registry.gone.get(id).copied()
    }

    /// What follows from it and is to be stored comes with the first effects.
    pub fn restore(&mut self, now: Timestamp, contents: Contents) -> Result<(), Unrestorable> {
        let now = self.advance(now);
        let Contents { agents, frameworks, weights, quotas, maintenance, gone } = contents;
        self.restore_weights(weights);
        self.restore_quotas(&quotas).map_err(Unrestorable::Quotas)?;
        self.restore_maintenance(maintenance).map_err(Unrestorable::Maintenance)?;
        self.registry.gone = Arc::new(gone.into_iter().collect());
        for agent in agents {
            self.restore_agent(now, agent);
        }
        for framework in frameworks {
            match framework {
                StoredFramework::Removed { id } => self.remember_removed(id),
                StoredFramework::Known { id, info, registered, deadline } => {
                    self.restore_framework(now, id, *info, registered, deadline);
                }
            }
        }
        self.begin_recovery(now);
        self.timers.set(now + gone::REGISTRY_INTERVAL, Timer::Registry);
        self.effects.retain(|effect| matches!(effect, Effect::Save(_)));
        Ok(())
    }

    fn begin_recovery(&mut self, now: Timestamp) {
        let awaited = self.recovering;
        if !self.registry.quotas.is_empty() && awaited > 0 {
            self.recovery_awaits = (awaited * RECOVERY_PERCENT).div_ceil(100);
            self.allocator.pause();
            self.timers.set(now + RECOVERY_MAX, Timer::Recovery);
        }
    }

    /// One of the awaited agents is back, or given up.
    pub(super) fn recovered_one(&mut self) {
        self.recovering = self.recovering.saturating_sub(1);
        if self.recovery_awaits == 1 {
            self.end_recovery();
        }
        self.recovery_awaits = self.recovery_awaits.saturating_sub(1);
    }

    pub(super) fn end_recovery(&mut self) {
        self.recovery_awaits = 0;
        self.allocator.resume();
    }

    fn restore_agent(&mut self, now: Timestamp, stored: StoredAgent) {
        let StoredAgent {
            id,
            info,
            ip,
            version,
            registered,
            unreachable,
            deactivated,
            drain,
            total,
            operations,
        } = stored;
        let total = total.as_ref().unwrap_or(&info.resources);
        let patience = self.registry.settings.agent_reregister_timeout;
        let deadline = unreachable.is_none().then_some(now + patience);
        let mut agent = Agent {
            id: id.clone(),
            total: convert::resources_from_wire(total).unwrap_or_default().unallocated(),
            info: Arc::new(info),
            ip,
            version,
            presence: unreachable
                .map_or(Presence::Recovered, |since| Presence::Unreachable { since }),
            session: None,
            registered,
            reregistered: None,
            deadline,
            used: Resources::EMPTY,
            offered: Resources::EMPTY,
            tasks: BTreeSet::new(),
            lost: BTreeSet::new(),
            offers: BTreeSet::new(),
            executors: BTreeMap::new(),
            operations: BTreeMap::new(),
            pings_missed: 0,
            shown: Shown::default(),
            shown_outline: Shown::default(),
            capabilities: Vec::new(),
            boot: String::new(),
            confirmed: true,
            standing: Standing { deactivated, drain, unavailability: None },
        };
        agent.standing.unavailability = self.scheduled(&agent);
        if let Some(deadline) = deadline {
            self.timers.set(deadline, Timer::Absence(id.clone()));
        }
        if agent.is_awaited() {
            self.recovering += 1;
            self.allocator.expect_agent(&id, &agent.total);
        }
        self.agents.insert(id.clone(), Arc::new(agent));
        for operation in operations {
            self.put_operation(now, &id, operation);
        }
    }

    fn restore_framework(
        &mut self,
        now: Timestamp,
        id: FrameworkId,
        info: v1::FrameworkInfo,
        registered: Timestamp,
        deadline: Option<Timestamp>,
    ) {
        let mut framework =
            Framework::new(id.clone(), info, Link::Recovered { deadline: now }, registered);
        // Who had left before has its old deadline, unless the clock says
        // nonsense: it can be no further than the whole timeout, and nobody
        // could come back while there was no master.
        let latest = now + framework.failover_timeout().max(RETURN_GRACE);
        let stored = deadline;
        let deadline = stored.unwrap_or(latest).clamp(now + RETURN_GRACE, latest);
        framework.link = Link::Recovered { deadline };
        if stored != Some(deadline) {
            // Whoever was connected is away from now on: its time does not begin
            // anew with every master.
            self.effect(Effect::Save(Key::Framework(id.clone())));
        }
        self.timers.set(deadline, Timer::Failover(id.clone()));
        self.touched.frameworks.insert(id.clone());
        self.frameworks.insert(id.clone(), Arc::new(framework));
        self.enter(&id, BTreeSet::new());
    }
}
