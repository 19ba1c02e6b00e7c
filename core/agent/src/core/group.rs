//! Task groups: tasks that start and end together, under one executor.
//!
//! The executor is not a process: the agent does for its tasks what it would.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use karman_model::resource::Resources;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Core, Entry, Todo};
use crate::admit::{self, Plan, Refusal, Stock};
use crate::drain::Drain;
use crate::lifecycle::{Event, StopCause, ends_group};
use crate::meta::{self, Member, Record};

/// An executor that has tasks.
#[derive(Debug)]
pub(super) struct Executor {
    container_id: String,
    sandbox: PathBuf,
    /// What it takes beside its tasks, as it is counted.
    resources: Resources,
    living: usize,
}

/// By framework and name.
pub(super) type Key = (String, String);

impl Core {
    /// All of the tasks, or none.
    pub(super) fn launch_group(
        &mut self,
        now_ms: u64,
        framework: (&str, &Arc<FrameworkInfo>),
        executor: &ExecutorInfo,
        tasks: Vec<TaskInfo>,
        todo: &mut Todo,
    ) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        let (framework_id, info) = framework;
        let known = |task: &TaskInfo| {
            self.by_task.contains_key(&(framework_id.to_owned(), task.task_id.value.clone()))
        };
        if tasks.iter().any(known) {
            // Said twice, for example before and after a lost connection.
            warn!(framework_id, "a group with a task that is known already is not launched again");
            return;
        }
        let member = self.member(&agent_id, framework_id, executor);
        let record = |task: TaskInfo| {
            let container_id = Uuid::new_v4().to_string();
            let sandbox = match &member {
                Some(member) => member.sandbox.join("containers").join(&container_id),
                None => self.settings.work_dir.join("refused"),
            };
            Record {
                agent_id: agent_id.clone(),
                framework_id: framework_id.to_owned(),
                container_id,
                sandbox,
                launched_ms: now_ms,
                task,
                member: member.clone().map(Box::new),
            }
        };
        let records: Vec<Record> = tasks.into_iter().map(record).collect();
        match self.admit_group(info, executor, &records) {
            Ok((own, plans)) => {
                if let Some(member) = &member {
                    todo.groups.extend(member.group.clone());
                    self.found_executor(framework_id, member, own);
                }
                for (record, plan) in records.into_iter().zip(plans) {
                    self.start(now_ms, record, info, Ok(Some(plan)), todo);
                }
            }
            Err(refusal) => {
                for record in records {
                    self.start(now_ms, record, info, Err(refusal.clone()), todo);
                }
            }
        }
    }

    /// The place of tasks under an executor, which may have tasks already; none
    /// for one whose name cannot be that of a folder.
    fn member(
        &self,
        agent_id: &str,
        framework_id: &str,
        executor: &ExecutorInfo,
    ) -> Option<Member> {
        let id = &executor.executor_id.value;
        admit::check_id("executor id", id).ok()?;
        let (container_id, sandbox) =
            match self.executors.get(&(framework_id.to_owned(), id.clone())) {
                Some(known) => (known.container_id.clone(), known.sandbox.clone()),
                None => {
                    let container_id = Uuid::new_v4().to_string();
                    let path = admit::sandbox(agent_id, framework_id, id, &container_id);
                    (container_id, self.settings.work_dir.join(path))
                }
            };
        let group = Some(Uuid::new_v4().to_string());
        Some(Member { group, executor: executor.clone(), container_id, sandbox })
    }

    /// How all of them run, and what the executor takes.
    fn admit_group(
        &self,
        framework: &FrameworkInfo,
        executor: &ExecutorInfo,
        records: &[Record],
    ) -> Result<(Resources, Vec<Plan>), Refusal> {
        let aware = admit::is_partition_aware(framework);
        if self.drain.is_some() {
            return Err(Drain::refusal(aware));
        }
        let held = self.held();
        let mut free = self.free();
        let stock = Stock { free: &free, held: &held };
        let name = &executor.executor_id.value;
        let mut own = admit::executor_resources(executor, &stock, aware)
            .map_err(|refusal| refusal.of_group(name))?;
        let key = records.first().map(|record| (record.framework_id.clone(), name.clone()));
        if key.is_some_and(|key| self.executors.contains_key(&key)) {
            own = Resources::EMPTY;
        }
        free = free.saturating_sub(&own);
        let mut plans = Vec::new();
        for record in records {
            let refused = |refusal: Refusal| refusal.of_group(&record.task.task_id.value);
            let stock = Stock { free: &free, held: &held };
            let plan =
                self.plan(record, framework, Some(executor), Some(stock)).map_err(refused)?;
            let taken = admit::resources(&record.task).map_err(refused)?;
            free = free.saturating_sub(&admit::countable(&taken));
            plans.push(plan);
        }
        Ok((own, plans))
    }

    fn found_executor(&mut self, framework_id: &str, member: &Member, own: Resources) {
        let key = (framework_id.to_owned(), member.executor.executor_id.value.clone());
        if self.executors.contains_key(&key) {
            return;
        }
        self.used = self.used.clone() + &own;
        let executor = Executor {
            container_id: member.container_id.clone(),
            sandbox: member.sandbox.clone(),
            resources: own,
            living: 0,
        };
        info!(framework_id, executor_id = key.1, "executor begins");
        self.executors.insert(key, executor);
    }

    /// The entry of a task that has just been launched counts for its executor.
    pub(super) fn join_executor(&mut self, record: &Record) {
        let key = (record.framework_id.clone(), record.executor_id().to_owned());
        if record.member.is_some()
            && let Some(executor) = self.executors.get_mut(&key)
        {
            executor.living += 1;
        }
    }

    /// As an earlier process of this agent left it.
    pub(super) fn restore_executor(&mut self, record: &Record) {
        let Some(member) = record.member.as_ref().filter(|_| !record.is_hosted()) else { return };
        let own = karman_api::convert::resources_from_wire(&member.executor.resources);
        let own = admit::countable(&own.unwrap_or_default().unallocated());
        self.found_executor(&record.framework_id, member, own);
        self.join_executor(record);
    }

    /// One task of a group has ended: the executor goes with its last, and every
    /// end but success takes the others along.
    pub(super) fn left_group(&mut self, now_ms: u64, id: &str, state: TaskState, todo: &mut Todo) {
        let Some(entry) = self.containers.get(id) else { return };
        let Some(group) = entry.record.group().map(ToOwned::to_owned) else { return };
        let key = (entry.record.framework_id.clone(), entry.record.executor_id().to_owned());
        let (silent, counted) = (entry.silent, entry.counted);
        if counted && let Some(executor) = self.executors.get_mut(&key) {
            executor.living = executor.living.saturating_sub(1);
            if executor.living == 0
                && let Some(gone) = self.executors.remove(&key)
            {
                self.used = self.used.saturating_sub(&gone.resources);
                if !silent {
                    todo.executors_ended.push((key, 0));
                }
            }
        }
        if ends_group(state) {
            self.end_group(now_ms, &group, todo);
        }
    }

    pub(super) fn end_group(&mut self, now_ms: u64, group: &str, todo: &mut Todo) {
        for id in self.living(|entry| entry.record.group() == Some(group)) {
            let Some(entry) = self.containers.get(&id) else { continue };
            let stop = Event::Stop { cause: StopCause::Group, grace_ms: entry.grace_ms() };
            self.container(now_ms, &id, stop, todo);
        }
    }

    /// What an earlier process of this agent began to end, or never wholly
    /// began.
    pub(super) fn restore_groups(
        &mut self,
        now_ms: u64,
        begun: &BTreeSet<String>,
        todo: &mut Todo,
    ) {
        let (mut half, mut ending) = (Vec::new(), BTreeSet::new());
        for (id, entry) in &self.containers {
            let Some(group) = entry.record.group() else { continue };
            if !begun.contains(group) && entry.view.statuses.is_empty() {
                half.push(id.clone());
            }
            let ends = entry.machine.is_stopping() || ends_group(entry.view.state());
            if ends && !entry.record.is_hosted() {
                ending.insert(group.to_owned());
            }
        }
        for id in half {
            let Some(entry) = self.containers.get(&id) else { continue };
            todo.launches.retain(|(job, _)| job.container_id != id);
            let aware = admit::is_partition_aware(&entry.view.framework);
            let refusal = Refusal {
                state: if aware { TaskState::TaskDropped } else { TaskState::TaskLost },
                reason: Reason::AgentRestarted,
                message: "The agent was restarted before the whole group was on record".into(),
            };
            self.refuse(now_ms, &id, refusal, todo);
        }
        for group in ending {
            self.end_group(now_ms, &group, todo);
        }
    }

    /// Forgets the record of a group with its last task.
    pub(super) fn forget_group(&self, entry: &Entry) {
        let Some(group) = entry.record.group() else { return };
        if !self.containers.values().any(|other| other.record.group() == Some(group)) {
            meta::forget_group(&self.settings.meta(&entry.record.agent_id), group);
        }
    }
}
