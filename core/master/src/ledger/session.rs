//! What agents say: who they are, which tasks they run, what became of them.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::Source;
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::resource::{Reconciled, Resources, reconcile};
use karman_model::time::Timestamp;

use super::registration::{Brought, Content, Registration, Unacceptable};
use super::task::Shown;
use super::{
    Agent, Effect, Key, Ledger, Presence, Report, SessionId, Timer, admission, is_terminal,
};
/// Why an agent is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Content(#[from] Unacceptable),
    #[error("{0}")]
    Admission(#[from] admission::Refusal),
}

/// Whether an operator will end it, without a change to the agent.
fn passes(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Admission(admission::Refusal::Down))
}

impl Ledger {
    pub(super) fn register(
        &mut self,
        now: Timestamp,
        session: SessionId,
        register: Registration,
        ip: IpAddr,
    ) {
        let Registration { known, content } = register;
        if let Some(known) = known.as_ref().filter(|known| self.registry.gone.contains_key(*known))
        {
            let reason = format!("the agent {known} was removed for ever");
            let message = Box::new(Body::Shutdown(session::Shutdown { reason }));
            self.effect(Effect::Tell { session, message });
            return self.effect(Effect::CloseSession(session));
        }
        let admitted = content.map_err(Refusal::from);
        match admitted.and_then(|content| self.admit(now, session, known, content, ip)) {
            Ok((id, Brought { drain, frameworks, tasks, executors })) => {
                self.greet(session, &id, drain);
                self.resume(now, &id, (tasks, executors), frameworks);
            }
            Err(refusal) => {
                let (reason, passes) = (refusal.to_string(), passes(&refusal));
                let message = Body::Rejected(session::Rejected { reason, passes });
                self.effect(Effect::Tell { session, message: Box::new(message) });
                self.effect(Effect::CloseSession(session));
            }
        }
    }

    /// Puts the agent on the books, without tasks.
    fn admit(
        &mut self,
        now: Timestamp,
        session: SessionId,
        known: Option<AgentId>,
        content: Content,
        ip: IpAddr,
    ) -> Result<(AgentId, Brought), Refusal> {
        let Content { mut info, total, held, version, boot, address, capabilities, brought } =
            content;
        // What it says is its address, if it says one: the connection may come
        // over the loopback.
        let said = address.parse().or_else(|_| info.hostname.parse());
        let ip = said.unwrap_or(ip);
        self.check_place(&info, ip)?;
        let confirmed = known.is_some();
        let id = known.or_else(|| self.twin(&info, ip, &boot));
        let id = id.unwrap_or_else(|| {
            let id = format!("{}-S{}", self.identity.id, self.agents_made);
            self.agents_made += 1;
            AgentId::from(id)
        });
        info.id = Some((&id).into());
        let old = self.agents.get(&id).cloned();
        if let Some(old) = &old {
            if brought.tasks.iter().any(|it| !it.task.is_terminal()) || old.has_reservations() {
                admission::check_additive(&old.info, &info)?;
            }
            self.forget_twin(old);
        }
        // What was reserved or made a volume stays so; of an agent that is not on
        // record only it itself can know.
        let known = old.as_ref().map_or(&held, |old| &old.total);
        let Reconciled { total, lost } = reconcile(&total, known);
        if !lost.is_empty() {
            self.effect(Effect::Report(Report::ReservationsLost { agent: id.clone(), lost }));
        }
        let (registered, reregistered) = match &old {
            Some(old) => (old.registered, Some(now)),
            None => (now, None),
        };
        match &old {
            Some(_) => self.counters.agent_reregistrations += 1,
            None => self.counters.agent_registrations += 1,
        }
        let agent = Agent {
            id: id.clone(),
            info: Arc::new(info),
            ip,
            version,
            presence: Presence::Registered,
            session: Some(session),
            registered,
            reregistered,
            deadline: None,
            total,
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
            capabilities,
            boot,
            confirmed,
            standing: old.as_ref().map(|old| old.standing.clone()).unwrap_or_default(),
        };
        self.replace(old.as_deref(), agent);
        if !confirmed {
            self.expect_confirmation(&id);
        }
        self.sessions.insert(session, id.clone());
        let interval = self.registry.settings.ping_interval;
        self.timers.set(now + interval, Timer::Ping(session));
        Ok((id, brought))
    }

    /// The tasks of the old record stay with their frameworks, off the books of
    /// the agent, until [`Ledger::resume`] has compared them.
    fn replace(&mut self, old: Option<&Agent>, mut agent: Agent) {
        let id = agent.id.clone();
        let mut save = old.is_none();
        agent.standing.unavailability = self.scheduled(&agent);
        if let Some(old) = old {
            if let Some(stale) = old.session {
                self.sessions.remove(&stale);
                self.effect(Effect::CloseSession(stale));
            }
            if let Some(deadline) = old.deadline {
                self.timers.clear(deadline, Timer::Absence(id.clone()));
            }
            self.rescind_agent(&id);
            for (framework, task) in &old.tasks {
                self.uncharge(framework, task);
            }
            if !old.executors.is_empty() {
                self.dismiss_all(&id);
            }
            agent.tasks = old.tasks.union(&old.lost).cloned().collect();
            agent.operations.clone_from(&old.operations);
            if old.is_awaited() {
                self.recovered_one();
            }
            save = old.total != agent.total
                || old.info != agent.info
                || matches!(old.presence, Presence::Unreachable { .. })
                || old.ip != agent.ip;
        }
        self.allocator.remove_agent(&id);
        self.allocator.add_agent(&id, agent.machine());
        self.allocator.set_agent_active(&id, agent.is_active());
        for role in agent.total.reserved_roles() {
            self.consumes_more(role);
        }
        self.agents.insert(id.clone(), Arc::new(agent));
        self.touched.agents.insert(id.clone());
        if save {
            self.effect(Effect::Save(Key::Agent(id)));
        }
    }

    /// Takes the resources of a living task off all books.
    fn uncharge(&mut self, framework: &FrameworkId, id: &TaskId) {
        let Some(owner) = self.frameworks.get(framework) else { return };
        let Some(task) = owner.tasks.get(id).filter(|task| !task.is_terminal()).cloned() else {
            return;
        };
        self.allocator.release(&task.agent, framework, &task.role, &task.resources.exclusive());
    }

    pub(super) fn status(
        &mut self,
        now: Timestamp,
        session: SessionId,
        update: session::StatusUpdate,
    ) {
        let session::StatusUpdate { framework_id, status, latest } = update;
        self.note_metric("messages_status_update");
        let Some(agent) = self.sessions.get(&session).cloned() else { return };
        let (Some(framework), Some(mut status)) =
            (framework_id.as_ref().map(FrameworkId::from), status)
        else {
            return;
        };
        let Some(capabilities) =
            self.frameworks.get(&framework).map(|framework| framework.capabilities)
        else {
            self.note_metric("invalid_status_updates");
            let message = session::ShutdownFramework { framework_id };
            self.tell(&agent, Body::ShutdownFramework(message));
            return;
        };
        status.agent_id.get_or_insert_with(|| (&agent).into());
        status.timestamp.get_or_insert(now.as_secs_f64());
        status.source.get_or_insert(Source::Agent.into());
        self.confirm(&agent);
        let task = TaskId::from(&status.task_id);
        let is_beyond = status.state() == TaskState::TaskKilling && !capabilities.task_killing;
        if is_beyond || self.is_elsewhere(&framework, &task, &agent) {
            // The framework would not understand, or would take it for a word
            // about another task: acknowledged in its name.
            let uuid = status.uuid.clone().unwrap_or_default();
            let message =
                session::Acknowledge { framework_id, task_id: Some(status.task_id), uuid };
            self.tell(&agent, Body::Acknowledge(message));
            return;
        }
        self.note_metric("valid_status_updates");
        let latest = latest.as_ref().map_or_else(|| status.state(), v1::TaskStatus::state);
        self.note(&framework, &task, &mut status, latest);
        self.send_status(&framework, status);
    }

    /// Whether the id is that of a task that lives on another agent.
    fn is_elsewhere(&self, framework: &FrameworkId, id: &TaskId, agent: &AgentId) -> bool {
        let owner = self.frameworks.get(framework);
        let task = owner.and_then(|owner| owner.tasks.get(id));
        task.is_some_and(|task| task.agent != *agent && !task.is_terminal())
    }

    /// Writes a status of an agent into the books.
    fn note(
        &mut self,
        framework: &FrameworkId,
        id: &TaskId,
        status: &mut v1::TaskStatus,
        latest: TaskState,
    ) {
        let Some(owner) = self.framework_mut(framework) else { return };
        let ended = owner.tasks.change(id, |task| {
            task.tell(status);
            task.unacknowledged = status.uuid.is_some();
            let ended = task.is_terminal();
            if !ended && !is_terminal(latest) {
                task.state = latest;
            }
            ended
        });
        let Some(ended) = ended else { return };
        if !ended && is_terminal(latest) {
            self.count_cause(status);
            self.end_task(framework, id, latest);
        }
        self.touch_task(framework, id);
        // Without an id there will be no acknowledgement.
        if status.uuid.is_none() && is_terminal(status.state()) {
            self.complete_task(framework, id);
        }
    }
}
