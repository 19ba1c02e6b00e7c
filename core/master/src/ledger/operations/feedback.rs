//! Operations that frameworks want to hear about: told until acknowledged.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use karman_api::mesos::v1;
use karman_api::mesos::v1::OperationState;
use karman_api::mesos::v1::scheduler::{self, call, event};
use karman_model::id::{self, AgentId, FrameworkId, OperationId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::super::timers::Timer;
use super::super::{Effect, Key, Ledger, status};
use super::Purse;
use crate::validate::INFO_BYTES_MAX;
use crate::validate::operation::to_wire;

/// The operations of one framework that wait for an acknowledgement; further ones
/// that ask to be told of are refused.
pub const OPERATIONS_UNACKNOWLEDGED_MAX: usize = 1000;
/// What an agent has and its unacknowledged operations are stored beside what it
/// says about itself; each may take half of what is left for both.
pub(in crate::ledger) const RESERVED_BYTES_MAX: usize = INFO_BYTES_MAX / 2;
/// All unacknowledged operations on one agent.
const OPERATIONS_BYTES_MAX: usize = INFO_BYTES_MAX / 4;

/// A status is told again after this long, and twice as long each time.
const RETRY_MIN: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(600);

/// An operation whose outcome the framework has not acknowledged.
#[derive(Clone, Debug)]
pub struct Operation {
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub info: Arc<v1::offer::Operation>,
    /// With the id to acknowledge it by.
    pub status: Arc<v1::OperationStatus>,
    /// When it is told again, and how long it waits after that.
    due: Timestamp,
    pause: Duration,
    bytes: usize,
}

/// As it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredOperation {
    pub framework: FrameworkId,
    pub info: v1::offer::Operation,
    pub status: v1::OperationStatus,
}

/// Which operations there are, by framework.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct Operations {
    agents: BTreeMap<FrameworkId, BTreeMap<OperationId, AgentId>>,
    made: u64,
}

impl Operation {
    /// As the operator API shows it.
    pub fn to_wire(&self) -> v1::Operation {
        let uuid = self.status.uuid.clone().unwrap_or_else(|| v1::Uuid { value: Bytes::new() });
        v1::Operation {
            framework_id: Some((&self.framework).into()),
            agent_id: Some((&self.agent).into()),
            info: (*self.info).clone(),
            latest_status: (*self.status).clone(),
            statuses: vec![(*self.status).clone()],
            uuid,
        }
    }

    pub(in crate::ledger) fn to_stored(&self) -> StoredOperation {
        StoredOperation {
            framework: self.framework.clone(),
            info: (*self.info).clone(),
            status: (*self.status).clone(),
        }
    }
}

fn size(info: &v1::offer::Operation, status: &v1::OperationStatus) -> usize {
    let info = serde_json::to_vec(info).map_or(usize::MAX, |text| text.len());
    let status = serde_json::to_vec(status).map_or(usize::MAX, |text| text.len());
    info.saturating_add(status)
}

impl Ledger {
    /// Whether the outcome could be told.
    pub(super) fn check_feedback(
        &self,
        purse: &Purse,
        info: &v1::offer::Operation,
    ) -> Result<(), String> {
        let Some(v1::OperationId { value }) = &info.id else { return Ok(()) };
        id::check(value).map_err(|problem| format!("Operation.id {problem}"))?;
        let known = self.operations.agents.get(&purse.framework);
        if known.is_some_and(|known| known.contains_key(value.as_str())) {
            return Err(format!("Operation.id '{value}' is in use by an unacknowledged operation"));
        }
        if known.is_some_and(|known| known.len() >= OPERATIONS_UNACKNOWLEDGED_MAX) {
            return Err(format!(
                "{OPERATIONS_UNACKNOWLEDGED_MAX} operations of the framework are unacknowledged, no more are possible"
            ));
        }
        let agent = self.agents.get(&purse.agent);
        let stored: usize =
            agent.map(|agent| agent.operations.values().map(|it| it.bytes).sum()).unwrap_or(0);
        // What it is converted to is about as large as what is asked for.
        let bytes = size(info, &v1::OperationStatus::default()).saturating_mul(2);
        if stored.saturating_add(bytes) > OPERATIONS_BYTES_MAX {
            return Err(format!(
                "unacknowledged operations on the agent would take more than {OPERATIONS_BYTES_MAX} bytes to store"
            ));
        }
        Ok(())
    }

    /// Tells the framework what became of its operation, until it acknowledges.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        framework: FrameworkId,
        agent: AgentId,
        info: v1::offer::Operation,
        state: OperationState,
        converted: &Resources,
    ) {
        let Some(operation_id) = info.id.clone() else { return };
        let id = OperationId::from(&operation_id);
        let status = v1::OperationStatus {
            operation_id: Some(operation_id),
            state: state.into(),
            message: None,
            converted_resources: to_wire(converted),
            uuid: Some(v1::Uuid { value: self.new_uuid() }),
            agent_id: Some((&agent).into()),
            resource_provider_id: None,
        };
        self.put_operation(
            now,
            &agent,
            StoredOperation { framework: framework.clone(), info, status },
        );
        self.effect(Effect::Save(Key::Agent(agent.clone())));
        self.tell_operation(now, &framework, &agent, &id);
    }

    /// Unique as the master's own id is.
    fn new_uuid(&mut self) -> Bytes {
        self.operations.made += 1;
        // FNV-1a.
        let hash = self.identity.id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut bytes = ((u128::from(hash) << 64) | u128::from(self.operations.made)).to_be_bytes();
        // Of the version that leaves the rest to whoever makes it, see RFC 9562.
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Bytes::copy_from_slice(&bytes)
    }

    /// Puts it on the books.
    pub(in crate::ledger) fn put_operation(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        stored: StoredOperation,
    ) {
        let StoredOperation { framework, info, status } = stored;
        let Some(id) = status.operation_id.as_ref().map(OperationId::from) else { return };
        let bytes = size(&info, &status);
        let operation = Operation {
            framework: framework.clone(),
            agent: agent.clone(),
            info: Arc::new(info),
            status: Arc::new(status),
            due: now + RETRY_MIN,
            pause: RETRY_MIN,
            bytes,
        };
        let due = operation.due;
        let Some(books) = self.agent_mut(agent) else { return };
        books.operations.insert((framework.clone(), id.clone()), Arc::new(operation));
        let own = self.operations.agents.entry(framework.clone()).or_default();
        own.insert(id.clone(), agent.clone());
        self.timers.set(due, Timer::Operation(agent.clone(), framework, id));
    }

    fn tell_operation(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        agent: &AgentId,
        id: &OperationId,
    ) {
        let key = (framework.clone(), id.clone());
        let Some(operation) = self.agents.get(agent).and_then(|agent| agent.operations.get(&key))
        else {
            return;
        };
        let (status, old, pause) = ((*operation.status).clone(), operation.due, operation.pause);
        let due = now + pause;
        let timer = Timer::Operation(agent.clone(), framework.clone(), id.clone());
        self.timers.clear(old, timer.clone());
        self.timers.set(due, timer);
        if let Some(operation) = self
            .agent_mut(agent)
            .and_then(|agent| agent.operations.get_mut(&key))
            .map(Arc::make_mut)
        {
            operation.due = due;
            operation.pause = (pause * 2).min(RETRY_MAX);
        }
        self.send_operation_status(framework, status);
    }

    pub(in crate::ledger) fn operation_due(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        framework: &FrameworkId,
        id: &OperationId,
    ) {
        let key = (framework.clone(), id.clone());
        let due = self
            .agents
            .get(agent)
            .and_then(|agent| agent.operations.get(&key))
            .is_some_and(|operation| operation.due <= now);
        // Who is away hears of it when he comes back.
        let listens = self.frameworks.get(framework).is_some_and(|owner| owner.is_connected());
        if due && listens {
            self.tell_operation(now, framework, agent, id);
        }
    }

    /// Says again what a framework that has come back may have missed.
    pub(in crate::ledger) fn tell_operations(&mut self, now: Timestamp, framework: &FrameworkId) {
        let own = self.operations.agents.get(framework).cloned().unwrap_or_default();
        for (id, agent) in own {
            let key = (framework.clone(), id.clone());
            if let Some(operation) = self
                .agent_mut(&agent)
                .and_then(|agent| agent.operations.get_mut(&key))
                .map(Arc::make_mut)
            {
                operation.pause = RETRY_MIN;
            }
            self.tell_operation(now, framework, &agent, &id);
        }
    }

    pub(in crate::ledger) fn acknowledge_operation(
        &mut self,
        framework: &FrameworkId,
        acknowledge: &call::AcknowledgeOperationStatus,
    ) {
        let id = OperationId::from(&acknowledge.operation_id);
        let known = self.operations.agents.get(framework).and_then(|own| own.get(&id));
        let Some(agent) = known.cloned() else { return };
        let key = (framework.clone(), id.clone());
        let is_meant = self
            .agents
            .get(&agent)
            .and_then(|agent| agent.operations.get(&key))
            .and_then(|operation| operation.status.uuid.as_ref())
            .is_some_and(|uuid| uuid.value == acknowledge.uuid);
        if is_meant {
            self.forget_operation(framework, &agent, &id);
        }
    }

    fn forget_operation(&mut self, framework: &FrameworkId, agent: &AgentId, id: &OperationId) {
        if let Some(own) = self.operations.agents.get_mut(framework) {
            own.remove(id);
            if own.is_empty() {
                self.operations.agents.remove(framework);
            }
        }
        let key = (framework.clone(), id.clone());
        if let Some(books) = self.agents.get(agent)
            && books.standing.drain.is_some()
        {
            self.idle.insert(agent.clone());
        }
        if let Some(operation) = self.agent_mut(agent).and_then(|it| it.operations.remove(&key)) {
            let timer = Timer::Operation(agent.clone(), framework.clone(), id.clone());
            self.timers.clear(operation.due, timer);
            self.effect(Effect::Save(Key::Agent(agent.clone())));
        }
    }

    /// Nobody is left to acknowledge them.
    pub(in crate::ledger) fn forget_operations_of(&mut self, framework: &FrameworkId) {
        for (id, agent) in self.operations.agents.remove(framework).unwrap_or_default() {
            self.forget_operation(framework, &agent, &id);
        }
    }

    /// The agent is forgotten, with what was done on it.
    pub(in crate::ledger) fn lose_operations(&mut self, agent: &AgentId, state: OperationState) {
        let lost: BTreeSet<(FrameworkId, OperationId)> = self
            .agents
            .get(agent)
            .map(|agent| agent.operations.keys().cloned().collect())
            .unwrap_or_default();
        for (framework, id) in lost {
            self.forget_operation(&framework, agent, &id);
            let status = v1::OperationStatus {
                operation_id: Some((&id).into()),
                state: state.into(),
                agent_id: Some(agent.into()),
                ..Default::default()
            };
            self.send_operation_status(&framework, status);
        }
    }

    /// The latest statuses of a framework's operations; by id if they are wanted
    /// by id.
    pub(in crate::ledger) fn known_operations(
        &self,
        framework: &FrameworkId,
        wanted: Option<&OperationId>,
    ) -> Vec<v1::OperationStatus> {
        let own = self.operations.agents.get(framework).into_iter().flatten();
        let meant = own.filter(|(id, _)| wanted.is_none_or(|wanted| wanted == *id));
        meant
            .filter_map(|(id, agent)| {
                let key = (framework.clone(), id.clone());
                let operation = self.agents.get(agent)?.operations.get(&key)?;
                // Nobody is to acknowledge an answer.
                Some(v1::OperationStatus { uuid: None, ..(*operation.status).clone() })
            })
            .collect()
    }

    /// The operation cannot be done. Not told again: nothing has changed.
    pub(in crate::ledger) fn operation_error(
        &mut self,
        framework: &FrameworkId,
        agent: Option<&AgentId>,
        info: &v1::offer::Operation,
        problem: &str,
    ) {
        // Only operations with an id are reported on.
        let Some(id) = &info.id else { return };
        let status = v1::OperationStatus {
            operation_id: Some(id.clone()),
            state: OperationState::OperationError.into(),
            message: Some(problem.to_owned()),
            agent_id: agent.map(Into::into),
            ..Default::default()
        };
        self.send_operation_status(framework, status);
    }

    pub(in crate::ledger) fn send_operation_status(
        &mut self,
        framework: &FrameworkId,
        status: v1::OperationStatus,
    ) {
        let update_operation_status = Some(event::UpdateOperationStatus { status });
        let kind = event::Type::UpdateOperationStatus;
        self.send(framework, scheduler::Event { update_operation_status, ..status::event(kind) });
    }
}
