//! Gives tasks to executors, and starts those that are not there yet.

use std::sync::Arc;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{ExecutorInfo, FrameworkInfo, Resource, TaskInfo, TaskState};
use karman_model::resource::Resources;
use tracing::{info, warn};
use uuid::Uuid;

use super::end::NO_STATUS;
use super::{Custom, Event, Executor};
use crate::admit::{self, Plan, Refusal, Stock};
use crate::core::{Core, Todo};
use crate::drain::Drain;
use crate::executors::{self, Surroundings};
use crate::meta::{ExecutorRecord, Member, Record, Write};

/// An executor as it is launched with tasks.
struct Founding {
    key: (String, String),
    record: ExecutorRecord,
    plan: Plan,
    own: Resources,
}

impl Core {
    /// All of the tasks, or none; as a group, or one by itself.
    pub(in crate::core) fn launch_hosted(
        &mut self,
        now_ms: u64,
        (framework_id, framework): (&str, &Arc<FrameworkInfo>),
        executor: &ExecutorInfo,
        (tasks, group): (Vec<TaskInfo>, bool),
        todo: &mut Todo,
    ) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        let known = |task: &TaskInfo| {
            self.by_task.contains_key(&(framework_id.to_owned(), task.task_id.value.clone()))
        };
        if tasks.iter().any(known) {
            // Said twice, for example before and after a lost connection.
            warn!(framework_id, "a task that is known already is not launched again");
            return;
        }
        let member = self.hosted_member(&agent_id, framework_id, executor, group);
        let record = |task: TaskInfo| Record {
            agent_id: agent_id.clone(),
            framework_id: framework_id.to_owned(),
            container_id: Uuid::new_v4().to_string(),
            sandbox: member.sandbox.clone(),
            launched_ms: now_ms,
            task,
            member: Some(Box::new(member.clone())),
        };
        let records: Vec<Record> = tasks.into_iter().map(record).collect();
        let refused = match self.admit_hosted(now_ms, framework, &member, &records) {
            Ok(founding) => {
                if let Some(founding) = founding {
                    self.found(framework, founding, todo);
                }
                todo.groups.extend(member.group.clone());
                None
            }
            Err(refusal) if group => Some(refusal.of_group(&executor.executor_id.value)),
            Err(refusal) => Some(refusal),
        };
        let key = (framework_id.to_owned(), executor.executor_id.value.clone());
        let names = records.iter().map(|record| record.task.task_id.value.clone()).collect();
        for record in records {
            let planned = refused.clone().map_or(Ok(None), Err);
            self.start(now_ms, record, framework, planned, todo);
        }
        if refused.is_some() && !self.customs.contains_key(&key) {
            // The master takes it for started.
            todo.executors_ended.push((key, NO_STATUS));
        } else if refused.is_none() {
            self.custom(now_ms, &key, Event::Launch { tasks: names, group }, todo);
            self.resize(&key, todo);
        }
    }

    /// The place of tasks under an executor, which may be there already.
    fn hosted_member(
        &self,
        agent_id: &str,
        framework_id: &str,
        executor: &ExecutorInfo,
        group: bool,
    ) -> Member {
        let id = &executor.executor_id.value;
        let known = self.customs.get(&(framework_id.to_owned(), id.clone()));
        let (container_id, sandbox) = match known {
            Some(known) => (known.record.container_id.clone(), known.record.sandbox.clone()),
            None => {
                let container_id = Uuid::new_v4().to_string();
                let path = match admit::check_id("executor id", id) {
                    Ok(()) => admit::sandbox(agent_id, framework_id, id, &container_id),
                    Err(_unusable) => "refused".into(),
                };
                (container_id, self.settings.work_dir.join(path))
            }
        };
        let group = group.then(|| Uuid::new_v4().to_string());
        Member { group, executor: executor.clone(), container_id, sandbox }
    }

    /// What is to be started for them, if anything.
    fn admit_hosted(
        &self,
        now_ms: u64,
        framework: &Arc<FrameworkInfo>,
        member: &Member,
        records: &[Record],
    ) -> Result<Option<Founding>, Refusal> {
        let aware = admit::is_partition_aware(framework);
        if self.drain.is_some() {
            return Err(Drain::refusal(aware));
        }
        let Some(first) = records.first() else { return Ok(None) };
        let key = (first.framework_id.clone(), member.executor.executor_id.value.clone());
        let held = self.held();
        let mut free = self.free();
        let is_new = match self.customs.get(&key) {
            Some(custom) if !custom.machine.is_open() => return Err(too_late(aware)),
            Some(_) => false,
            None => true,
        };
        let mut own = Resources::EMPTY;
        if is_new {
            let stock = Stock { free: &free, held: &held };
            own = admit::executor_resources(&member.executor, &stock, aware)?;
            free = free.saturating_sub(&own);
        }
        for record in records {
            let stock = Stock { free: &free, held: &held };
            let taken = admit::admit_hosted(&record.task, framework, &stock, is_new)?;
            free = free.saturating_sub(&taken);
        }
        if !is_new {
            return Ok(None);
        }
        let record = ExecutorRecord {
            agent_id: first.agent_id.clone(),
            framework_id: first.framework_id.clone(),
            container_id: member.container_id.clone(),
            sandbox: member.sandbox.clone(),
            launched_ms: now_ms,
            executor: member.executor.clone(),
            token: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
        };
        let tasks = records.iter().map(|record| record.task.resources.as_slice());
        let plan = self.plan_executor(&record, framework, tasks)?;
        Ok(Some(Founding { key, record, plan, own }))
    }

    /// How an executor that has these tasks is run.
    pub(super) fn plan_executor<'a>(
        &self,
        record: &ExecutorRecord,
        framework: &FrameworkInfo,
        tasks: impl Iterator<Item = &'a [Resource]>,
    ) -> Result<Plan, Refusal> {
        let as_task = Record {
            agent_id: record.agent_id.clone(),
            framework_id: record.framework_id.clone(),
            container_id: record.container_id.clone(),
            sandbox: record.sandbox.clone(),
            launched_ms: record.launched_ms,
            task: executors::as_task(&record.executor, &record.agent_id, tasks),
            member: None,
        };
        let mut plan = self.plan(&as_task, framework, None, None)?;
        let around = Surroundings {
            door: self.settings.door,
            pid: &self.settings.pid(),
            token: &record.token,
            grace_ms: executors::grace_ms(&record.executor),
        };
        plan.environment = executors::environment(plan.environment, &around);
        plan.grace_ms = executors::grace_ms(&record.executor);
        Ok(plan)
    }

    fn found(&mut self, framework: &Arc<FrameworkInfo>, founding: Founding, todo: &mut Todo) {
        let Founding { key, record, plan, own } = founding;
        info!(
            framework_id = key.0,
            executor_id = key.1,
            container_id = record.container_id,
            "launching an executor"
        );
        let machine = Executor::new(self.settings.executors);
        let create = Write::CreateExecutor(Box::new(record.clone()));
        let custom = Custom::new(&self.settings, record, framework, machine, own);
        todo.write(&custom.run, create);
        todo.launches.push((custom.job(), Arc::new(plan)));
        self.keep_custom(key, custom);
    }

    /// From now on it takes what it asks for.
    pub(super) fn keep_custom(&mut self, key: (String, String), custom: Custom) {
        self.used = self.used.clone() + &custom.resources;
        self.custom_of.insert(custom.record.container_id.clone(), key.clone());
        self.customs.insert(key, custom);
    }

    /// Its process may use what it and its tasks take.
    pub(super) fn resize(&self, key: &(String, String), todo: &mut Todo) {
        let Some(custom) = self.customs.get(key) else { return };
        let (Some(group), Some(_runs)) = (&custom.group, custom.view.task_pid) else { return };
        let tasks = custom.machine.tasks().filter_map(|task| {
            let id = self.by_task.get(&(key.0.clone(), task.to_owned()))?;
            Some(self.containers.get(id)?.record.task.resources.as_slice())
        });
        let record = &custom.record;
        let task = executors::as_task(&record.executor, &record.agent_id, tasks);
        if let Ok(wanted) = admit::resources(&task) {
            let limits = admit::limits(&task, &admit::countable(&wanted));
            todo.resizes.push((group.clone(), limits));
        }
    }
}

fn too_late(partition_aware: bool) -> Refusal {
    let state = if partition_aware { TaskState::TaskDropped } else { TaskState::TaskLost };
    Refusal {
        state,
        reason: Reason::ExecutorTerminated,
        message: "The executor is being shut down and takes no tasks".into(),
    }
}
