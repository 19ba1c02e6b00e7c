//! Executors on an agent: there while they have tasks, or until their process ends
//! where their framework brought it along, and paid for once.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_allocator::Role;
use karman_api::convert;
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{self, event};
use karman_api::session;
use karman_model::id::{AgentId, ExecutorId, FrameworkId};
use karman_model::resource::Resources;

use super::super::{Ledger, SessionId, status};
use crate::validate::executor::is_custom;

/// An executor that has tasks, or waits for some.
#[derive(Clone, Debug)]
pub struct Executor {
    pub info: Arc<v1::ExecutorInfo>,
    pub role: Role,
    /// On the account of the role.
    pub resources: Resources,
    /// That are not terminal.
    pub tasks: u32,
    /// It goes on without tasks until its agent says that it ended.
    pub stays: bool,
}

impl Ledger {
    /// One more task for the executor; true if it is its first.
    pub(in crate::ledger) fn employ(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        info: &v1::ExecutorInfo,
        resources: &Resources,
    ) -> bool {
        let Some(agent) = self.agent_mut(agent) else { return false };
        let key = (framework.clone(), ExecutorId::from(&info.executor_id));
        if let Some(executor) = agent.executors.get_mut(&key) {
            let executor = Arc::make_mut(executor);
            executor.tasks += 1;
            return false;
        }
        let executor = Executor {
            stays: is_custom(info).is_ok(),
            info: Arc::new(info.clone()),
            role: Arc::clone(role),
            resources: resources.clone(),
            tasks: 1,
        };
        agent.executors.insert(key, Arc::new(executor));
        agent.used += resources;
        if let Some(owner) = self.framework_mut(framework) {
            owner.employed.add(resources);
        }
        true
    }

    /// The same for a task that its agent brings back.
    pub(in crate::ledger) fn employ_found(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        role: &Role,
        info: &v1::ExecutorInfo,
    ) {
        // It has been let in before.
        let resources = convert::resources_from_wire(&info.resources).unwrap_or_default();
        let total = self.agents.get(agent).map(|agent| agent.total.clone()).unwrap_or_default();
        let resources = resources.unallocated().aligned_with(&total).allocated_to(role);
        if self.employ(agent, framework, role, info, &resources) {
            self.allocator.charge(agent, framework, role, &resources.exclusive());
            self.consumes_more(role);
            // Until the agent says that it runs.
            self.stays(agent, framework, info, false);
        }
    }

    fn stays(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        info: &v1::ExecutorInfo,
        stays: bool,
    ) {
        let key = (framework.clone(), ExecutorId::from(&info.executor_id));
        let Some(books) = self.agent_mut(agent) else { return };
        if let Some(executor) = books.executors.get_mut(&key).map(Arc::make_mut) {
            executor.stays = stays;
        }
    }

    /// An executor that its agent brings back, maybe without tasks.
    pub(in crate::ledger) fn keep_found(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        info: &v1::ExecutorInfo,
    ) {
        let Some(owner) = self.frameworks.get(framework) else { return };
        let role = allocated(info).or_else(|| owner.roles.first().cloned());
        let role = role.unwrap_or_else(|| karman_model::role::ANY.into());
        self.employ_found(agent, framework, &role, info);
        let key = (framework.clone(), ExecutorId::from(&info.executor_id));
        let Some(books) = self.agent_mut(agent) else { return };
        if let Some(executor) = books.executors.get_mut(&key).map(Arc::make_mut) {
            executor.tasks = executor.tasks.saturating_sub(1);
        }
        self.stays(agent, framework, info, true);
    }

    /// One task less; the last one frees the executor's resources, unless its
    /// process goes on.
    pub(in crate::ledger) fn dismiss(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) {
        let Some(books) = self.agent_mut(agent) else { return };
        let key = (framework.clone(), executor.clone());
        let Some(executor) = books.executors.get_mut(&key).map(Arc::make_mut) else { return };
        executor.tasks = executor.tasks.saturating_sub(1);
        if executor.tasks == 0 && !executor.stays {
            self.strike(agent, &key);
        }
    }

    /// Takes an executor off all books.
    fn strike(&mut self, agent: &AgentId, key: &(FrameworkId, ExecutorId)) {
        let framework = &key.0;
        let Some(books) = self.agent_mut(agent) else { return };
        let Some(executor) = books.executors.remove(key) else { return };
        self.put_down(agent, &executor.resources);
        if let Some(owner) = self.framework_mut(framework) {
            owner.employed.subtract(&executor.resources);
        }
        self.allocator.release(agent, framework, &executor.role, &executor.resources.exclusive());
    }

    /// Frees what the executors of a framework hold that is gone; the agents where it
    /// had some.
    pub(in crate::ledger) fn dismiss_of(&mut self, framework: &FrameworkId) -> Vec<AgentId> {
        let mut found = Vec::new();
        for agent in self.agents.values() {
            let own = agent.executors.keys().filter(|(owner, _)| owner == framework);
            found.extend(own.map(|key| (agent.id.clone(), key.clone())));
        }
        for (agent, key) in &found {
            self.strike(agent, key);
        }
        found.into_iter().map(|(agent, _)| agent).collect()
    }

    /// Frees what the executors of an agent hold whose tasks are uncertain.
    pub(in crate::ledger) fn dismiss_all(&mut self, id: &AgentId) {
        let Some(agent) = self.agent_mut(id) else { return };
        for ((framework, _), executor) in std::mem::take(&mut agent.executors) {
            if let Some(owner) = self.framework_mut(&framework) {
                owner.employed.subtract(&executor.resources);
            }
            let resources = executor.resources.exclusive();
            self.allocator.release(id, &framework, &executor.role, &resources);
        }
    }

    /// An executor speaks to its scheduler.
    pub(in crate::ledger) fn executor_message(
        &mut self,
        session: SessionId,
        message: session::ExecutorMessage,
    ) {
        let Some(agent) = self.sessions.get(&session).cloned() else { return };
        let session::ExecutorMessage { framework_id, executor_id, data } = message;
        let (Some(framework), Some(executor_id)) = (framework_id, executor_id) else { return };
        let message = Some(event::Message { agent_id: (&agent).into(), executor_id, data });
        let event = scheduler::Event { message, ..status::event(event::Type::Message) };
        let framework = FrameworkId::from(&framework);
        let heard = self.frameworks.get(&framework).is_some_and(|it| it.is_connected());
        self.note_metric("messages_executor_to_framework");
        self.note_metric(if heard {
            "valid_executor_to_framework_messages"
        } else {
            "invalid_executor_to_framework_messages"
        });
        self.send(&framework, event);
    }

    /// An executor has ended; its tasks are reported by themselves.
    pub(in crate::ledger) fn executor_ended(
        &mut self,
        session: SessionId,
        ended: session::ExecutorEnded,
    ) {
        let Some(agent) = self.sessions.get(&session).cloned() else { return };
        let session::ExecutorEnded { framework_id, executor_id, status: exit } = ended;
        self.note_metric("messages_exited_executor");
        let (Some(framework), Some(executor)) = (framework_id, &executor_id) else { return };
        self.strike_ended(&agent, ((&framework).into(), executor.into()));
        let failure = Some(event::Failure {
            agent_id: Some((&agent).into()),
            executor_id,
            status: Some(exit),
        });
        let event = scheduler::Event { failure, ..status::event(event::Type::Failure) };
        self.send(&FrameworkId::from(&framework), event);
    }

    /// One with tasks goes with the last of them: they are reported by themselves, or
    /// were launched on its successor before it was known that it has one.
    fn strike_ended(&mut self, agent: &AgentId, key: (FrameworkId, ExecutorId)) {
        let Some(books) = self.agent_mut(agent) else { return };
        let Some(executor) = books.executors.get_mut(&key).map(Arc::make_mut) else { return };
        executor.stays = false;
        if executor.tasks == 0 {
            self.strike(agent, &key);
        }
    }
}

/// On whose account it is, where that is said.
fn allocated(info: &v1::ExecutorInfo) -> Option<Role> {
    let role = info.resources.iter().find_map(|it| it.allocation_info.as_ref()?.role.as_deref());
    role.map(Into::into)
}
