//! What agents say: who they are, which tasks they run, what became of them.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::{Reason, Source};
use karman_api::session::{self, master_message::Body};
use karman_model::id::{self, AgentId, FrameworkId, TaskId};
use karman_model::resource::{Reconciled, Resources, reconcile};
use karman_model::time::Timestamp;

use super::status::{Verdict, precise};
use super::task::Shown;
use super::{
    Agent, Effect, Framework, Key, Ledger, Link, Presence, Report, SessionId, Task, Timer,
    admission, is_terminal, operations, recover,
};
use crate::validate;

/// Why an agent is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the registration names no agent")]
    NoAgent,
    #[error("the id of the agent {0}")]
    Id(id::Error),
    #[error("{0}")]
    Wire(convert::Error),
    #[error("{0}")]
    Admission(#[from] admission::Refusal),
    #[error("what the agent says about itself is larger than {} bytes", validate::INFO_BYTES_MAX)]
    Large,
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
        mut register: session::Register,
        ip: IpAddr,
    ) {
        if let Some(known) = register.agent.as_ref().and_then(known_id)
            && self.registry.gone.contains_key(&known)
        {
            let reason = format!("the agent {known} was removed for ever");
            let message = Box::new(Body::Shutdown(session::Shutdown { reason }));
            self.effect(Effect::Tell { session, message });
            return self.effect(Effect::CloseSession(session));
        }
        match self.admit(now, session, &mut register, ip) {
            Ok(id) => self.resume(now, session, &id, register),
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
        register: &mut session::Register,
        ip: IpAddr,
    ) -> Result<AgentId, Refusal> {
        let mut info = register.agent.take().ok_or(Refusal::NoAgent)?;
        let total =
            convert::resources_from_wire(&info.resources).map_err(Refusal::Wire)?.unallocated();
        convert::attributes_from_wire(&info.attributes).map_err(Refusal::Wire)?;
        let held =
            convert::resources_from_wire(&register.held).map_err(Refusal::Wire)?.unallocated();
        if !validate::is_storable(&info) || !operations::is_storable(&held) {
            return Err(Refusal::Large);
        }
        // What it says is its address, if it says one: the connection may come
        // over the loopback.
        let said = register.address.parse().or_else(|_| info.hostname.parse());
        let ip = said.unwrap_or(ip);
        self.check_place(&info, ip)?;
        let known = known_id(&info);
        if let Some(known) = &known {
            id::check(known.as_str()).map_err(Refusal::Id)?;
        }
        let confirmed = known.is_some();
        let id = known.or_else(|| self.twin(&info, ip, &register.boot_id));
        let id = id.unwrap_or_else(|| {
            let id = format!("{}-S{}", self.identity.id, self.agents_made);
            self.agents_made += 1;
            AgentId::from(id)
        });
        info.id = Some((&id).into());
        let old = self.agents.get(&id).cloned();
        if let Some(old) = &old {
            if register.tasks.iter().any(is_alive) || old.has_reservations() {
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
            version: std::mem::take(&mut register.version),
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
            capabilities: std::mem::take(&mut register.capabilities),
            boot: std::mem::take(&mut register.boot_id),
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
        Ok(id)
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
            self.dismiss_all(&id);
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

    /// Compares the tasks that the agent knows with those that it should.
    fn resume(
        &mut self,
        now: Timestamp,
        session: SessionId,
        id: &AgentId,
        register: session::Register,
    ) {
        let session::Register { tasks, frameworks: infos, drain, .. } = register;
        let expected =
            self.agent_mut(id).map(|agent| std::mem::take(&mut agent.tasks)).unwrap_or_default();
        let mut infos: BTreeMap<FrameworkId, v1::FrameworkInfo> =
            infos.into_iter().filter_map(|info| Some((info.id.as_ref()?.into(), info))).collect();
        let registered = session::Registered {
            agent_id: Some(id.into()),
            master_id: self.identity.id.to_string(),
            ping_timeout_ms: self.silence_ms(),
        };
        self.effect(Effect::Tell { session, message: Box::new(Body::Registered(registered)) });
        self.tell_resources(id);
        self.repeat_drain(id, drain);
        self.invite(id);
        let mut seen = BTreeSet::new();
        let mut dead = BTreeSet::new();
        for session::AgentTask { framework_id, task, status, latest, executor } in tasks {
            let (Some(framework), Some(mut info)) = (framework_id, task) else { continue };
            info.executor = info.executor.or(executor);
            // One id is shared by all tasks of the framework.
            let known = self.frameworks.get(framework.value.as_str());
            let framework =
                known.map_or_else(|| FrameworkId::from(&framework), |known| known.id.clone());
            if !self.ensure_framework(now, &framework, &mut infos) {
                dead.insert(framework);
                continue;
            }
            let task = self.found(now, id, &framework, info, status, latest);
            if !expected.is_empty() {
                seen.insert((framework, task));
            }
        }
        for framework in dead {
            let message = session::ShutdownFramework { framework_id: Some((&framework).into()) };
            self.tell(id, Body::ShutdownFramework(message));
        }
        for (framework, task) in expected {
            if !seen.contains(&(framework.clone(), task.clone())) {
                self.missing(now, id, &framework, &task);
            }
        }
    }

    /// Whether tasks of the framework may live; a framework that nobody told of
    /// is rebuilt from what the agent knows.
    fn ensure_framework(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        infos: &mut BTreeMap<FrameworkId, v1::FrameworkInfo>,
    ) -> bool {
        if self.frameworks.contains_key(id) {
            return true;
        }
        let Some(info) = infos.remove(id).filter(|_| !self.removed_ids.contains(id)) else {
            return false;
        };
        let mut framework =
            Framework::new(id.clone(), info, Link::Recovered { deadline: now }, now);
        let deadline = now + framework.failover_timeout().max(recover::RETURN_GRACE);
        framework.link = Link::Recovered { deadline };
        self.timers.set(deadline, Timer::Failover(id.clone()));
        self.frameworks.insert(id.clone(), Arc::new(framework));
        self.touched.frameworks.insert(id.clone());
        self.effect(Effect::Save(Key::Framework(id.clone())));
        self.enter(id, BTreeSet::new());
        true
    }

    /// The agent has the task.
    fn found(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        framework: &FrameworkId,
        mut info: v1::TaskInfo,
        told: Option<v1::TaskStatus>,
        latest: Option<v1::TaskStatus>,
    ) -> TaskId {
        let id = TaskId::from(&info.task_id);
        if !self.make_room(agent, framework, &id) {
            self.tell_kill(agent, framework, &id, None);
            return id;
        }
        let Some(owner) = self.framework_mut(framework) else { return id };
        let was_unreachable = owner.unreachable.remove(&id);
        let returned = was_unreachable.is_some();
        let old = was_unreachable.or_else(|| owner.tasks.remove(&id));
        let role = old.as_ref().map_or_else(
            || validate::task::role_of(&info, &owner.roles),
            |old| Arc::clone(&old.role),
        );
        validate::task::complete(&mut info, &role);
        let Ok(resources) = self.pool.share_wire(&info.resources, &role) else { return id };
        let resources = self.with_own_volumes(agent, &role, resources);
        let executor = info.executor.clone();
        let state =
            latest.as_ref().or(told.as_ref()).map_or(TaskState::TaskStaging, v1::TaskStatus::state);
        let mut task = Task::new(framework.clone(), agent.clone(), role, &info, resources);
        // One id is shared by all that name the task.
        task.id = id.clone();
        task.state = state;
        let latest = latest.filter(|latest| told.as_ref() != Some(latest));
        if let Some(mut told) = told {
            task.tell(&mut told);
        }
        task.kill = old.as_ref().and_then(|old| old.kill);
        match old.filter(|old| old.has_statuses()) {
            Some(old) => task.inherit_statuses(&old),
            None => latest.into_iter().for_each(|mut latest| task.remember(&mut latest)),
        }
        let kill = task.kill.filter(|_| !task.is_terminal());
        if !task.is_terminal() {
            let resources = task.resources.exclusive();
            self.allocator.charge(agent, framework, &task.role, &resources);
            self.consumes_more(&task.role);
            if let Some(executor) = &executor {
                self.employ_found(agent, framework, &task.role, executor);
            }
        }
        self.add_task(task);
        if returned {
            let verdict = Verdict::new(state, Reason::AgentReregistered, "Agent re-registered");
            let status = verdict.status(now, &id, Some(agent));
            self.send_status(framework, status);
        }
        if let Some(kill_policy) = kill {
            self.tell_kill(agent, framework, &id, kill_policy);
        }
        id
    }

    /// Whether the agent may have a task of that name. A name is used twice when a
    /// framework gives it to another task before it has heard what became of the
    /// first, and after a restart nobody else knows of both: who came first stays.
    fn make_room(&mut self, agent: &AgentId, framework: &FrameworkId, id: &TaskId) -> bool {
        let other = self.frameworks.get(framework).and_then(|owner| owner.tasks.get(id));
        let Some(other) = other.filter(|other| other.agent != *agent) else { return true };
        if !other.is_terminal() {
            return false;
        }
        self.complete_task(framework, id);
        true
    }

    /// The agent does not have a task that it should have.
    fn missing(&mut self, now: Timestamp, agent: &AgentId, framework: &FrameworkId, id: &TaskId) {
        let Some(owner) = self.framework_mut(framework) else { return };
        let capabilities = owner.capabilities;
        // Another agent may have a task of that name by now.
        let Some(task) = owner.task(id).filter(|task| task.agent == *agent) else { return };
        if !task.is_terminal() {
            let state = match task.state {
                TaskState::TaskStaging => TaskState::TaskDropped,
                _started => TaskState::TaskGone,
            };
            let state = precise(capabilities, state);
            let verdict =
                Verdict::new(state, Reason::Reconciliation, "the agent does not know the task");
            let mut status = verdict.status(now, id, Some(agent));
            owner.change_task(id, |task| {
                task.state = state;
                task.remember(&mut status);
            });
            self.count_end(state);
            self.send_status(framework, status);
        }
        self.complete_task(framework, id);
    }

    pub(super) fn status(
        &mut self,
        now: Timestamp,
        session: SessionId,
        update: session::StatusUpdate,
    ) {
        let session::StatusUpdate { framework_id, status, latest } = update;
        let Some(agent) = self.sessions.get(&session).cloned() else { return };
        let (Some(framework), Some(mut status)) =
            (framework_id.as_ref().map(FrameworkId::from), status)
        else {
            return;
        };
        let Some(capabilities) =
            self.frameworks.get(&framework).map(|framework| framework.capabilities)
        else {
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
            self.end_task(framework, id, latest);
        }
        self.touch_task(framework, id);
        // Without an id there will be no acknowledgement.
        if status.uuid.is_none() && is_terminal(status.state()) {
            self.complete_task(framework, id);
        }
    }
}

fn known_id(info: &v1::AgentInfo) -> Option<AgentId> {
    info.id.as_ref().filter(|id| !id.value.is_empty()).map(AgentId::from)
}

/// Whether the task may still run.
fn is_alive(task: &session::AgentTask) -> bool {
    let latest = task.latest.as_ref().or(task.status.as_ref());
    latest.is_none_or(|status| !is_terminal(status.state()))
}
