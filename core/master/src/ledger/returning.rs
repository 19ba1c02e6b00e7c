//! The tasks that an agent brings back, compared with those that it should have.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use karman_allocator::Role;
use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::session::{self, master_message::Body};
use karman_model::id::{AgentId, FrameworkId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::registration::Returning;
use super::status::{Verdict, precise};
use super::{Effect, Framework, Key, Ledger, Link, SessionId, Task, Timer, recover};
use crate::validate;

/// What the tasks of one agent come to: written into its books once for all.
#[derive(Debug, Default)]
struct Sum {
    tasks: Vec<(FrameworkId, TaskId)>,
    /// Of this, several tasks may have the same.
    shared: Resources,
    charges: BTreeMap<(FrameworkId, Role), Resources>,
}

impl Sum {
    fn add(&mut self, task: &Task) {
        self.tasks.push((task.framework.clone(), task.id.clone()));
        if task.is_terminal() {
            return;
        }
        if task.resources.has_shared() {
            self.shared += &task.resources.shared();
        }
        let account = (task.framework.clone(), Arc::clone(&task.role));
        *self.charges.entry(account).or_default() += &task.resources.exclusive();
    }
}

impl Ledger {
    /// Tells the agent who it is and what it has.
    pub(super) fn greet(
        &mut self,
        session: SessionId,
        id: &AgentId,
        drain: Option<v1::DrainConfig>,
    ) {
        let registered = session::Registered {
            agent_id: Some(id.into()),
            master_id: self.identity.id.to_string(),
            ping_timeout_ms: self.silence_ms(),
        };
        self.effect(Effect::Tell { session, message: Box::new(Body::Registered(registered)) });
        self.tell_resources(id);
        self.repeat_drain(id, drain);
        self.invite(id);
    }

    /// Compares the tasks that the agent knows with those that it should.
    pub(super) fn resume(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        (tasks, executors): (Vec<Returning>, Vec<(FrameworkId, v1::ExecutorInfo)>),
        mut infos: BTreeMap<FrameworkId, v1::FrameworkInfo>,
    ) {
        let Some(agent) = self.agent_mut(id) else { return };
        let expected = std::mem::take(&mut agent.tasks);
        // One id is shared by all that name the agent.
        let id = &agent.id.clone();
        let mut sum = Sum::default();
        let mut dead = BTreeSet::new();
        let mut last: Option<FrameworkId> = None;
        // By framework: each is looked up once.
        for mut returning in tasks {
            let framework = &mut returning.task.framework;
            if last.as_ref() != Some(framework) {
                if !self.ensure_framework(now, framework, &mut infos) {
                    dead.insert(framework.clone());
                    continue;
                }
                last = self.frameworks.get(framework).map(|known| known.id.clone());
            }
            // And by all tasks of the framework.
            if let Some(known) = &last {
                framework.clone_from(known);
            }
            self.found(now, id, returning, &mut sum);
        }
        for (framework, executor) in executors {
            if self.ensure_framework(now, &framework, &mut infos) {
                self.keep_found(id, &framework, &executor);
            } else {
                dead.insert(framework);
            }
        }
        for framework in dead {
            let message = session::ShutdownFramework { framework_id: Some((&framework).into()) };
            self.tell(id, Body::ShutdownFramework(message));
        }
        let Sum { tasks, shared, charges } = sum;
        let tasks = BTreeSet::from_iter(tasks);
        let missing: Vec<_> = expected.difference(&tasks).cloned().collect();
        self.charge_returned(id, &charges);
        if let Some(agent) = self.agent_mut(id) {
            agent.used += &shared;
            charges.values().for_each(|it| agent.used += it);
            agent.tasks = tasks;
        }
        for (framework, task) in missing {
            self.missing(now, id, &framework, &task);
        }
    }

    fn charge_returned(
        &mut self,
        id: &AgentId,
        charges: &BTreeMap<(FrameworkId, Role), Resources>,
    ) {
        let each = charges.iter().map(|((framework, role), it)| (framework, role, it));
        self.allocator.charge_all(id, each);
        for (_, role) in charges.keys() {
            self.consumes_more(role);
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
    fn found(&mut self, now: Timestamp, agent: &AgentId, returning: Returning, sum: &mut Sum) {
        let Returning { task, open, executor } = returning;
        let (framework, id) = (task.framework.clone(), task.id.clone());
        let Some(old) = self.claim(agent, &framework, &id) else {
            return self.tell_kill(agent, &framework, &id, None);
        };
        let Some(mut task) = self.completed(task, open, old.as_deref()) else { return };
        task.agent.clone_from(agent);
        let resources = self.pool.adopt(&task.resources);
        task.resources = self.with_own_volumes(agent, &task.role, resources);
        if let Some(old) = old {
            task.inherit(&old);
        }
        if let Some(executor) = executor.filter(|_| !task.is_terminal()) {
            self.employ_found(agent, &framework, &task.role, &executor);
        }
        let (state, kill) = (task.state, task.kill.filter(|_| !task.is_terminal()));
        sum.add(&task);
        self.touch_task(&framework, &id);
        let Some(owner) = self.framework_mut(&framework) else { return };
        owner.tasks.insert(Arc::new(task));
        if owner.unreachable.remove(&id).is_some() {
            let verdict = Verdict::new(state, Reason::AgentReregistered, "Agent re-registered");
            let status = verdict.status(now, &id, Some(agent));
            self.send_status(&framework, status);
        }
        if let Some(kill_policy) = kill {
            self.tell_kill(agent, &framework, &id, kill_policy);
        }
    }

    /// The task with a role: the one it had, or the first of its framework.
    fn completed(
        &mut self,
        task: Task,
        open: Option<Box<v1::TaskInfo>>,
        old: Option<&Task>,
    ) -> Option<Task> {
        let Some(mut info) = open else { return Some(task) };
        let owner = self.frameworks.get(&task.framework)?;
        let role = old.map(|old| Arc::clone(&old.role));
        let role = role.unwrap_or_else(|| validate::task::role_of(&info, &owner.roles));
        validate::task::complete(&mut info, &role);
        let resources = self.pool.share_wire(&info.resources, &role).ok()?;
        Some(task.completed(&info, role, resources))
    }

    /// Gives the name to the agent, unless a task of that name lives on another,
    /// and returns the task that it was. A name is used twice when a framework
    /// gives it to another task before it has heard what became of the first, and
    /// after a restart nobody else knows of both: who came first stays.
    fn claim(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        id: &TaskId,
    ) -> Option<Option<Arc<Task>>> {
        let owner = self.frameworks.get(framework)?;
        match owner.tasks.get(id) {
            Some(other) if other.agent != *agent => {
                if !other.is_terminal() {
                    return None;
                }
                self.complete_task(framework, id);
                Some(None)
            }
            Some(same) => Some(Some(Arc::clone(same))),
            None => Some(owner.unreachable.get(id).cloned()),
        }
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
}
