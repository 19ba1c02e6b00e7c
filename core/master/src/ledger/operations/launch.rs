//! LAUNCH: tasks, each for itself.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use karman_api::mesos::v1;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::session;
use karman_model::id::{ExecutorId, TaskId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::super::{Ledger, Task};
use super::Purse;
use crate::validate::{executor, task};

/// A task that obeys all rules, and what it costs.
pub(super) struct Launchable {
    pub(super) resources: Resources,
    /// What its executor costs.
    pub(super) executor: Option<Resources>,
}

impl Ledger {
    pub(super) fn launch(&mut self, now: Timestamp, purse: &mut Purse, mut info: v1::TaskInfo) {
        if let Some(executor) = &mut info.executor {
            executor.framework_id.get_or_insert_with(|| (&purse.framework).into());
        }
        task::complete(&mut info, &purse.role);
        let launchable = match self.launchable(purse, &info) {
            Ok(launchable) => launchable,
            Err(problem) => {
                return self.task_error(now, purse, &info, Reason::TaskInvalid, &problem);
            }
        };
        if !self.is_there(purse) {
            let (framework, problem) = (purse.framework.clone(), "Agent is not connected");
            return self.task_dropped(now, &framework, &info, Reason::AgentDisconnected, problem);
        }
        self.start(purse, &info, launchable);
        match purse.launches.last_mut().filter(|launch| launch.executor.is_none()) {
            Some(launch) => launch.tasks.push(info),
            None => self.put_launch(purse, None, vec![info]),
        }
    }

    pub(super) fn is_there(&self, purse: &Purse) -> bool {
        self.agents.get(&purse.agent).is_some_and(|agent| agent.is_registered())
    }

    pub(super) fn put_launch(
        &self,
        purse: &mut Purse,
        executor: Option<v1::ExecutorInfo>,
        tasks: Vec<v1::TaskInfo>,
    ) {
        let framework = self.frameworks.get(&purse.framework).map(|owner| (*owner.info).clone());
        purse.launches.push(session::Launch { framework, executor, tasks });
    }

    fn launchable(&self, purse: &Purse, info: &v1::TaskInfo) -> Result<Launchable, String> {
        let place = task::Place { agent: &purse.agent, role: &purse.role };
        let known = self.knows(purse, &(&info.task_id).into());
        let resources = task::check(info, place, known).map_err(|e| e.to_string())?;
        let resources = resources.aligned_with(&purse.left);
        let executor = match &info.executor {
            Some(executor) => {
                executor::is_custom(executor).map_err(|e| e.to_string())?;
                Some(self.executor_cost(purse, executor).map_err(|e| e.to_string())?)
            }
            None => None,
        };
        let needed = self.needed(purse, info.executor.as_deref(), executor.as_ref(), &resources);
        if !purse.covers(&needed) {
            return Err(format!("Task uses more resources {needed} than available {}", purse.left));
        }
        Ok(Launchable { resources, executor })
    }

    pub(super) fn knows(&self, purse: &Purse, task: &TaskId) -> bool {
        self.frameworks.get(&purse.framework).is_some_and(|owner| owner.task(task).is_some())
    }

    /// What the executor costs, if it is one that may be started or is the one
    /// that is there.
    pub(super) fn executor_cost(
        &self,
        purse: &Purse,
        info: &v1::ExecutorInfo,
    ) -> Result<Resources, executor::Error> {
        let resources = executor::check(info, &purse.framework, &purse.role)?;
        let id = ExecutorId::from(&info.executor_id);
        match self.running(purse, &id) {
            Some(known) if !executor::is_same(known, info) => {
                Err(executor::Error::Different(id.to_string()))
            }
            Some(_) | None => Ok(resources.aligned_with(&purse.left)),
        }
    }

    fn running(&self, purse: &Purse, executor: &ExecutorId) -> Option<&v1::ExecutorInfo> {
        let agent = self.agents.get(&purse.agent)?;
        let key = (purse.framework.clone(), executor.clone());
        Some(&agent.executors.get(&key)?.info)
    }

    /// The tasks' resources, with the executor's if it has yet to be started.
    pub(super) fn needed(
        &self,
        purse: &Purse,
        info: Option<&v1::ExecutorInfo>,
        executor: Option<&Resources>,
        tasks: &Resources,
    ) -> Resources {
        let is_new =
            info.is_some_and(|info| self.running(purse, &(&info.executor_id).into()).is_none());
        match executor.filter(|_| is_new) {
            Some(executor) => tasks + executor,
            None => tasks.clone(),
        }
    }

    /// Puts the task on the books and takes what it costs out of the purse.
    pub(super) fn start(&mut self, purse: &mut Purse, info: &v1::TaskInfo, task: Launchable) {
        let Launchable { resources, executor } = task;
        purse.spend(&resources);
        if let (Some(info), Some(executor)) = (&info.executor, &executor)
            && self.employ(&purse.agent, &purse.framework, &purse.role, info, executor)
        {
            purse.spend(executor);
        }
        // What is shared is not taken: the offer gives it back.
        let resources = self.pool.share(resources);
        let (framework, role) = (purse.framework.clone(), Arc::clone(&purse.role));
        self.add_task(Task::new(framework, purse.agent.clone(), role, info, resources));
    }
}
