//! LAUNCH_GROUP: all tasks of the group or none.
#![deny(clippy::disallowed_methods)]

use karman_api::mesos::v1;
use karman_api::mesos::v1::offer::operation::LaunchGroup;
use karman_api::mesos::v1::task_status::Reason;
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

use super::super::Ledger;
use super::launch::Launchable;
use super::{Purse, task_ids};
use crate::validate::{executor, task};

impl Ledger {
    pub(super) fn launch_group(&mut self, now: Timestamp, purse: &mut Purse, group: LaunchGroup) {
        let LaunchGroup { mut executor, task_group: v1::TaskGroupInfo { mut tasks } } = group;
        task::allocate(executor.resources.iter_mut(), &purse.role);
        for task in &mut tasks {
            task::complete(task, &purse.role);
        }
        let checked = match self.check_group(purse, &executor, &tasks) {
            Ok(checked) => checked,
            Err(problem) => {
                for task in &tasks {
                    self.task_error(now, purse, task, Reason::TaskGroupInvalid, &problem);
                }
                return;
            }
        };
        if !self.is_there(purse) {
            let framework = purse.framework.clone();
            for task in &tasks {
                let problem = "Agent is not connected";
                self.task_dropped(now, &framework, task, Reason::AgentDisconnected, problem);
            }
            return;
        }
        for (task, launchable) in tasks.iter_mut().zip(checked) {
            task.executor = Some(Box::new(executor.clone()));
            self.start(purse, task, launchable);
            // The agent is told of the executor once.
            task.executor = None;
        }
        self.put_launch(purse, Some(executor), tasks);
    }

    fn check_group(
        &self,
        purse: &Purse,
        info: &v1::ExecutorInfo,
        tasks: &[v1::TaskInfo],
    ) -> Result<Vec<Launchable>, String> {
        let said = |error: executor::Error| error.to_string();
        executor::check_group(info, tasks).map_err(said)?;
        if info.framework_id.is_none() {
            return Err("'ExecutorInfo.framework_id' must be set for a task group".to_owned());
        }
        let executor = self.executor_cost(purse, info).map_err(said)?;
        executor::runs_groups(info, &executor).map_err(said)?;
        let place = task::Place { agent: &purse.agent, role: &purse.role };
        let mut all = Resources::EMPTY;
        let mut checked = Vec::with_capacity(tasks.len());
        for (task, id) in tasks.iter().zip(task_ids(tasks)) {
            let resources = task::check_grouped(task, place, self.knows(purse, &id))
                .map_err(|problem| format!("Task '{id}' is invalid: {problem}"))?
                .aligned_with(&purse.left);
            let overlap = all.exclusive().ranges("ports").intersection(&resources.ranges("ports"));
            if !overlap.is_empty() {
                return Err(format!(
                    "Task '{id}' uses ports {overlap} of another task of the group"
                ));
            }
            all += &resources;
            checked.push(Launchable { resources, executor: Some(executor.clone()) });
        }
        let needed = self.needed(purse, Some(info), Some(&executor), &all);
        if !purse.covers(&needed) {
            return Err(format!(
                "Total resources {needed} required by task group and its executor are more than available {}",
                purse.left
            ));
        }
        Ok(checked)
    }
}
