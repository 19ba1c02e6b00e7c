//! A ledger with agents and frameworks that remember what they were told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{self, event::Type};
use karman_api::session::{self, master_message::Body};
use karman_store::{Change, Entry};
use serde_json::{Value, json};

use super::super::*;
use crate::stored;

pub(in crate::ledger) struct World {
    pub(in crate::ledger) ledger: Ledger,
    pub(in crate::ledger) now: Timestamp,
    /// What each stream has received and not yet looked at.
    pub(in crate::ledger) events: BTreeMap<StreamId, Vec<scheduler::Event>>,
    pub(in crate::ledger) closed: Vec<StreamId>,
    pub(in crate::ledger) messages: BTreeMap<SessionId, Vec<Body>>,
    pub(in crate::ledger) closed_sessions: Vec<SessionId>,
    pub(in crate::ledger) saved: Vec<Key>,
    pub(in crate::ledger) reports: Vec<Report>,
    /// What is durable.
    pub(in crate::ledger) store: BTreeMap<String, bytes::Bytes>,
    pub(in crate::ledger) sessions_made: u64,
}

impl World {
    pub(in crate::ledger) fn new() -> Self {
        Self::at("m1", Timestamp(1_000_000))
    }

    pub(in crate::ledger) fn at(master: &str, now: Timestamp) -> Self {
        Self::with(master, now, Settings::default())
    }

    pub(in crate::ledger) fn with(master: &str, now: Timestamp, settings: Settings) -> Self {
        let info = v1::MasterInfo { id: master.into(), ..Default::default() };
        let identity = Identity { id: master.into(), info, started: now };
        Self {
            ledger: Ledger::with_settings(identity, settings),
            now,
            events: BTreeMap::new(),
            closed: Vec::new(),
            messages: BTreeMap::new(),
            closed_sessions: Vec::new(),
            saved: Vec::new(),
            reports: Vec::new(),
            store: BTreeMap::new(),
            sessions_made: 0,
        }
    }

    /// One event, the offers that follow from it, and the invariants.
    pub(in crate::ledger) fn apply(&mut self, event: Event) {
        let mut effects = self.ledger.apply(self.now, Event::Tick);
        effects.extend(self.ledger.apply(self.now, event));
        self.release(effects);
    }

    /// A command, the offers that follow from it, and the invariants.
    pub(in crate::ledger) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        let mut effects = self.ledger.apply(self.now, Event::Tick);
        let result = self.ledger.command(self.now, command);
        let result = result.map(|more| effects.extend(more));
        self.release(effects);
        result
    }

    fn release(&mut self, mut effects: Vec<Effect>) {
        effects.extend(self.ledger.allocate(self.now));
        for effect in effects {
            match effect {
                Effect::Save(key) => {
                    match stored::change(&self.ledger, &key) {
                        Change::Put { key, value } => self.store.insert(key, value),
                        Change::Delete { key } => self.store.remove(&key),
                    };
                    self.saved.push(key);
                }
                Effect::Send { stream, event } => {
                    self.events.entry(stream).or_default().push(*event);
                }
                Effect::CloseStream(stream) => self.closed.push(stream),
                Effect::Tell { session, message } => {
                    self.messages.entry(session).or_default().push(*message);
                }
                Effect::CloseSession(session) => self.closed_sessions.push(session),
                Effect::Report(report) => self.reports.push(report),
            }
        }
        self.ledger.check();
    }

    /// The next master knows what this one stored and nothing else.
    pub(in crate::ledger) fn restart(&self) -> Self {
        let settings = (*self.ledger.registry.settings).clone();
        let mut world = Self::with("m2", self.now, settings);
        world.restore(&self.store);
        world.ledger.check();
        world
    }

    pub(in crate::ledger) fn restore(&mut self, store: &BTreeMap<String, bytes::Bytes>) {
        let entry = |(key, value): (&String, &bytes::Bytes)| Entry {
            key: key.clone(),
            value: value.clone(),
            revision: 1,
        };
        let entries: Vec<Entry> = store.iter().map(entry).collect();
        self.ledger.restore(self.now, stored::read(&entries).unwrap()).unwrap();
        self.store = store.clone();
    }

    pub(in crate::ledger) fn wait(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0 + ms);
        self.apply(Event::Tick);
    }

    pub(in crate::ledger) fn subscribe(
        &mut self,
        stream: &str,
        info: Value,
    ) -> Option<FrameworkId> {
        let mut all = json!({"user": "u", "name": "n"});
        all.as_object_mut().unwrap().extend(info.as_object().unwrap().clone());
        let info = Box::new(serde_json::from_value(all).unwrap());
        self.apply(Event::Subscribe {
            stream: stream.into(),
            info,
            suppressed: Vec::new(),
            constraints: None,
        });
        let events = self.events.get_mut(stream)?;
        let subscribed = events.iter().find_map(|event| event.subscribed.as_ref())?;
        let id = FrameworkId::from(&subscribed.framework_id);
        events.retain(|event| event.r#type() != Type::Subscribed);
        Some(id)
    }

    pub(in crate::ledger) fn call(&mut self, framework: &FrameworkId, call: Value) {
        let mut call: scheduler::Call = serde_json::from_value(call).unwrap();
        call.framework_id = Some(framework.into());
        self.apply(Event::Call { framework: framework.clone(), call: Box::new(call) });
    }

    pub(in crate::ledger) fn agent(
        &mut self,
        id: Option<&str>,
        tasks: Vec<session::AgentTask>,
        frameworks: Vec<v1::FrameworkInfo>,
    ) -> SessionId {
        self.register(register(id, "host", tasks, frameworks))
    }

    pub(in crate::ledger) fn agent_with(
        &mut self,
        resources: &str,
        id: Option<&str>,
        tasks: Vec<session::AgentTask>,
        frameworks: Vec<v1::FrameworkInfo>,
    ) -> SessionId {
        let resources = karman_model::resource::Resources::parse(resources, "*").unwrap();
        let mut register = register(id, "host", tasks, frameworks);
        if let Some(agent) = &mut register.agent {
            agent.resources = karman_api::convert::resources_to_wire(
                &resources,
                karman_api::convert::Format::Refined,
            );
        }
        self.register(register)
    }

    pub(in crate::ledger) fn register(&mut self, register: session::Register) -> SessionId {
        let session = SessionId(self.sessions_made);
        self.sessions_made += 1;
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.apply(Event::Register { session, register: Box::new(register.into()), ip });
        session
    }

    pub(in crate::ledger) fn offers(&mut self, stream: &str) -> Vec<v1::Offer> {
        let events = self.events.get_mut(stream).map(std::mem::take).unwrap_or_default();
        let (offers, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.offers.is_some());
        self.events.insert(stream.into(), others);
        offers
            .into_iter()
            .filter_map(|event| event.offers)
            .flat_map(|offers| offers.offers)
            .collect()
    }

    pub(in crate::ledger) fn updates(&mut self, stream: &str) -> Vec<v1::TaskStatus> {
        let events = self.events.get_mut(stream).map(std::mem::take).unwrap_or_default();
        let (updates, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.update.is_some());
        self.events.insert(stream.into(), others);
        updates.into_iter().filter_map(|event| event.update).map(|update| update.status).collect()
    }

    /// What was said about operations.
    pub(in crate::ledger) fn operations(&mut self, stream: &str) -> Vec<v1::OperationStatus> {
        let events = self.events.get_mut(stream).map(std::mem::take).unwrap_or_default();
        let (updates, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.update_operation_status.is_some());
        self.events.insert(stream.into(), others);
        updates
            .into_iter()
            .filter_map(|it| it.update_operation_status)
            .map(|it| it.status)
            .collect()
    }

    /// Accepts the offers with these operations.
    pub(in crate::ledger) fn accept(
        &mut self,
        framework: &FrameworkId,
        offers: &[v1::Offer],
        operations: Value,
    ) {
        let ids: Vec<&v1::OfferId> = offers.iter().map(|offer| &offer.id).collect();
        let accept = json!({"offer_ids": ids, "operations": operations});
        self.call(framework, json!({"type": "ACCEPT", "accept": accept}));
    }

    pub(in crate::ledger) fn told(&mut self, session: SessionId) -> Vec<Body> {
        self.messages.remove(&session).unwrap_or_default()
    }

    /// The states of a framework's pending updates.
    pub(in crate::ledger) fn states(&mut self, stream: &str) -> Vec<&'static str> {
        self.updates(stream).iter().map(|status| status.state().as_str_name()).collect()
    }

    pub(in crate::ledger) fn launch(
        &mut self,
        framework: &FrameworkId,
        offer: &v1::Offer,
        task: &str,
        cpus: f64,
    ) {
        let info = task_info(&offer.agent_id.value, task, cpus);
        self.call(
            framework,
            json!({"type": "ACCEPT", "accept": {"offer_ids": [offer.id], "operations":
                [{"type": "LAUNCH", "launch": {"task_infos": [info]}}]}}),
        );
    }

    pub(in crate::ledger) fn status(
        &mut self,
        session: SessionId,
        framework: &FrameworkId,
        task: &str,
        state: &str,
    ) {
        let update = session::StatusUpdate {
            framework_id: Some(framework.into()),
            status: Some(status(task, state, true)),
            latest: None,
        };
        self.apply(Event::Status { session, update: Box::new(update) });
    }

    pub(in crate::ledger) fn executor_ended(
        &mut self,
        session: SessionId,
        framework: &FrameworkId,
        executor: &str,
    ) {
        let ended = Box::new(session::ExecutorEnded {
            framework_id: Some(framework.into()),
            executor_id: Some(v1::ExecutorId { value: executor.into() }),
            status: 0,
        });
        self.apply(Event::ExecutorEnded { session, ended });
    }

    pub(in crate::ledger) fn acknowledge(
        &mut self,
        framework: &FrameworkId,
        agent: &str,
        task: &str,
        state: &str,
    ) {
        let uuid = status(task, state, true).uuid.unwrap();
        let mut call: scheduler::Call =
            serde_json::from_value(json!({"type": "ACKNOWLEDGE"})).unwrap();
        call.acknowledge = Some(scheduler::call::Acknowledge {
            agent_id: v1::AgentId { value: agent.into() },
            task_id: v1::TaskId { value: task.into() },
            uuid,
        });
        self.apply(Event::Call { framework: framework.clone(), call: Box::new(call) });
    }
}

/// How an agent with 4 cpus, 1000 MB and 10 ports registers.
pub(in crate::ledger) fn register(
    id: Option<&str>,
    hostname: &str,
    tasks: Vec<session::AgentTask>,
    frameworks: Vec<v1::FrameworkInfo>,
) -> session::Register {
    let resources =
        karman_model::resource::Resources::parse("cpus:4;mem:1000;ports:[1000-1009]", "*").unwrap();
    let agent = v1::AgentInfo {
        hostname: hostname.into(),
        resources: karman_api::convert::resources_to_wire(
            &resources,
            karman_api::convert::Format::Refined,
        ),
        id: id.map(|id| v1::AgentId { value: id.to_owned() }),
        ..Default::default()
    };
    session::Register {
        agent: Some(agent),
        version: "1".into(),
        boot_id: "b".into(),
        tasks,
        frameworks,
        ..Default::default()
    }
}

pub(in crate::ledger) fn task_info(agent: &str, task: &str, cpus: f64) -> Value {
    json!({
        "name": task, "task_id": {"value": task}, "agent_id": {"value": agent},
        "command": {"value": "true"},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}}],
    })
}

/// The id of a status is made from its task and state.
pub(in crate::ledger) fn status(task: &str, state: &str, with_uuid: bool) -> v1::TaskStatus {
    let mut status: v1::TaskStatus =
        serde_json::from_value(json!({"task_id": {"value": task}, "state": state})).unwrap();
    let mut uuid = format!("{state}{task}").into_bytes();
    uuid.resize(16, b'.');
    status.uuid = with_uuid.then(|| uuid.into());
    status
}

/// How an agent reports a task that it has.
pub(in crate::ledger) fn has(
    framework: &FrameworkId,
    agent: &str,
    task: &str,
    state: &str,
) -> session::AgentTask {
    session::AgentTask {
        framework_id: Some(framework.into()),
        task: Some(serde_json::from_value(task_info(agent, task, 1.0)).unwrap()),
        status: Some(Box::new(status(task, state, true))),
        latest: Some(Box::new(status(task, state, true))),
        ..Default::default()
    }
}

pub(in crate::ledger) fn framework_info(id: &FrameworkId) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "u".into(),
        name: "n".into(),
        id: Some(id.into()),
        ..Default::default()
    }
}
