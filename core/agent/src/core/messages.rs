//! What the master says.

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_api::mesos::v1::{
    ExecutorInfo, FrameworkId, FrameworkInfo, KillPolicy, Resource, TaskInfo,
};
use karman_api::session::master_message::Body;
use karman_api::session::{
    Acknowledge, AgentTask, Drain, ExecutorMessage, Kill, Launch, Register, Resources, Shutdown,
    ShutdownExecutor, ShutdownFramework,
};
use karman_model::resource::Resources as ModelResources;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Core, Entry, Membership, Todo};
use crate::admit::{self, Machine, Plan, Refusal, Stock};
use crate::drain;
use crate::executors;
use crate::lifecycle::{Event, StopCause};
use crate::meta::{Line, Record, Write};
use crate::session::Change;
use crate::settings;
use crate::updates::Acknowledged;

impl Core {
    pub(super) fn session(&mut self, now_ms: u64, change: Change, todo: &mut Todo) {
        match change {
            Change::Hello(reply) => {
                // The session ended meanwhile and will ask again.
                let _gone = reply.send(self.register());
            }
            Change::Registered { agent_id, master, outgoing } => {
                if self.agent_id.as_ref().is_some_and(|known| *known != agent_id) {
                    warn!(agent_id, "the master gave this agent another id");
                }
                self.agent_id = Some(agent_id.clone());
                self.master = Some(master);
                self.outgoing = Some(outgoing);
                for entry in self.containers.values_mut() {
                    entry.updates.reconnected();
                }
                todo.registered = Some(agent_id);
                todo.all_updated = true;
            }
            Change::Message(body) => self.message(now_ms, *body, todo),
            Change::Lost => (self.outgoing, self.master) = (None, None),
            Change::Rejected { reason, passes } => {
                let rejected = Membership::Rejected { reason };
                self.membership.send_replace(if passes { Membership::Awaited } else { rejected });
            }
        }
    }

    /// Everything that a master which knows nothing must know.
    fn register(&self) -> Register {
        let task = |entry: &Entry| {
            let (status, latest) = (entry.updates.outstanding(), entry.updates.latest());
            AgentTask {
                framework_id: Some(FrameworkId { value: entry.record.framework_id.clone() }),
                task: Some(Box::new(entry.record.task.clone())),
                status: status.cloned().map(Box::new),
                latest: latest.filter(|_| latest != status).cloned().map(Box::new),
                executor: entry.record.member.as_ref().map(|it| Box::new(it.executor.clone())),
            }
        };
        let heard = |entry: &&Entry| !entry.silent;
        Register {
            agent: Some(self.settings.agent_info(self.agent_id.as_deref())),
            version: self.settings.version.to_owned(),
            boot_id: self.settings.boot_id.clone(),
            tasks: self.containers.values().filter(heard).map(task).collect(),
            frameworks: self
                .frameworks
                .values()
                .map(|framework| FrameworkInfo::clone(framework))
                .collect(),
            address: self.settings.ip.to_string(),
            capabilities: settings::capabilities(),
            held: self.holding.wire.clone(),
            drain: self.drain.as_ref().map(|drain| drain.config),
            executors: self.customs_for_register(),
        }
    }

    fn message(&mut self, now_ms: u64, body: Body, todo: &mut Todo) {
        match body {
            Body::Launch(Launch { framework: Some(framework), executor, tasks }) => {
                self.launch(now_ms, framework, executor.as_ref(), tasks, todo);
            }
            Body::Kill(Kill {
                framework_id: Some(framework),
                task_id: Some(task),
                kill_policy,
            }) => {
                self.kill(now_ms, (framework.value, task.value), kill_policy.as_ref(), todo);
            }
            Body::Acknowledge(Acknowledge {
                framework_id: Some(framework),
                task_id: Some(task),
                uuid,
            }) => {
                self.acknowledge(&(framework.value, task.value), &uuid, todo);
            }
            Body::ShutdownFramework(ShutdownFramework { framework_id: Some(framework) }) => {
                self.shut_down(now_ms, &framework.value, todo);
            }
            Body::ShutdownExecutor(ShutdownExecutor {
                framework_id: Some(framework),
                executor_id: Some(executor),
            }) => {
                self.shut_down_executor(now_ms, &framework.value, &executor.value, todo);
            }
            Body::Message(ExecutorMessage {
                framework_id: Some(framework),
                executor_id: Some(executor),
                data,
            }) => self.pass_message((framework.value, executor.value), data, todo),
            Body::Drain(Drain { config }) => self.drain(now_ms, config, todo),
            Body::Shutdown(Shutdown { reason }) => self.removed(now_ms, reason, todo),
            Body::Resources(Resources { resources }) => self.hold(resources, todo),
            Body::Registered(_) | Body::Rejected(_) | Body::Ping(_) => {}
            Body::Launch(_)
            | Body::Kill(_)
            | Body::Acknowledge(_)
            | Body::ShutdownFramework(_)
            | Body::ShutdownExecutor(_)
            | Body::Message(_) => {
                warn!("a message of the master lacks an id");
            }
        }
    }

    fn launch(
        &mut self,
        now_ms: u64,
        framework: FrameworkInfo,
        executor: Option<&ExecutorInfo>,
        tasks: Vec<TaskInfo>,
        todo: &mut Todo,
    ) {
        let Some(framework_id) = framework.id.as_ref().map(|id| id.value.clone()) else { return };
        if admit::check_id("framework id", &framework_id).is_err() {
            warn!(framework_id, "tasks of a framework with an unusable id are ignored");
            return;
        }
        let framework = Arc::new(framework);
        if self.frameworks.get(&framework_id) != Some(&framework) {
            self.frameworks.insert(framework_id.clone(), Arc::clone(&framework));
            todo.frameworks.push((framework_id.clone(), Arc::clone(&framework)));
        }
        match executor {
            Some(executor) if executors::is_custom(executor) => {
                let framework = (framework_id.as_str(), &framework);
                self.launch_hosted(now_ms, framework, executor, (tasks, true), todo);
            }
            Some(executor) => {
                self.launch_group(now_ms, (&framework_id, &framework), executor, tasks, todo);
            }
            None => {
                for task in tasks {
                    let Some(executor) = task.executor.clone() else {
                        self.launch_one(now_ms, &framework_id, &framework, task, todo);
                        continue;
                    };
                    let framework = (framework_id.as_str(), &framework);
                    self.launch_hosted(now_ms, framework, &executor, (vec![task], false), todo);
                }
            }
        }
    }

    fn launch_one(
        &mut self,
        now_ms: u64,
        framework_id: &str,
        framework: &Arc<FrameworkInfo>,
        task: TaskInfo,
        todo: &mut Todo,
    ) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        let task_id = task.task_id.value.clone();
        if self.by_task.contains_key(&(framework_id.to_owned(), task_id.clone())) {
            // Said twice, for example before and after a lost connection.
            warn!(framework_id, task_id, "a task that is known already is not launched again");
            return;
        }
        let container_id = Uuid::new_v4().to_string();
        let sandbox = self.settings.work_dir.join(admit::sandbox(
            &agent_id,
            framework_id,
            &task_id,
            &container_id,
        ));
        let record = Record {
            agent_id,
            framework_id: framework_id.to_owned(),
            container_id,
            sandbox,
            launched_ms: now_ms,
            task,
            member: None,
        };
        let planned = match &self.drain {
            Some(_) => Err(drain::Drain::refusal(admit::is_partition_aware(framework))),
            None => {
                let (free, held) = (self.free(), self.held());
                self.plan(&record, framework, None, Some(Stock { free: &free, held: &held }))
            }
        };
        self.start(now_ms, record, framework, planned.map(Some), todo);
    }

    /// What no running task uses, as it is counted.
    pub(super) fn free(&self) -> ModelResources {
        admit::countable(&self.settings.resources).saturating_sub(&self.used)
    }

    /// All that this agent has, with what operations made of it.
    pub(super) fn held(&self) -> Arc<ModelResources> {
        let told = self.holding.resources.as_ref();
        told.map_or_else(|| Arc::new(self.settings.resources.clone()), Arc::clone)
    }

    /// Puts a new task on record, and runs it if it is admitted; without a plan its
    /// executor does.
    pub(super) fn start(
        &mut self,
        now_ms: u64,
        record: Record,
        framework: &Arc<FrameworkInfo>,
        planned: Result<Option<Plan>, Refusal>,
        todo: &mut Todo,
    ) {
        let container_id = record.container_id.clone();
        info!(
            framework_id = record.framework_id,
            task_id = record.task.task_id.value,
            container_id,
            "launching"
        );
        let run = self.settings.run_dir(&record.agent_id, &container_id);
        let group = self.settings.hierarchy.as_ref().filter(|_| !record.is_hosted());
        let group = group.map(|hierarchy| hierarchy.group(&record.agent_id, &container_id));
        todo.write(&run, Write::Create(Box::new(record.clone())));
        let (plan, refusal) = match planned {
            Ok(plan) => (plan, None),
            Err(refusal) => (None, Some(refusal)),
        };
        let mut entry = Entry::new(record, run, group, plan, framework);
        self.by_task.insert(entry.key(), container_id.clone());
        if let Some(plan) = &entry.plan {
            todo.launches.push((entry.job(), Arc::clone(plan)));
        }
        if refusal.is_none() {
            entry.count();
            self.used = self.used.clone() + &entry.resources;
            self.join_executor(&entry.record);
        }
        self.containers.insert(container_id.clone(), entry);
        if let Some(refusal) = refusal {
            self.refuse(now_ms, &container_id, refusal, todo);
        }
    }

    /// How a task of this agent is run.
    pub(super) fn plan(
        &self,
        record: &Record,
        framework: &FrameworkInfo,
        executor: Option<&ExecutorInfo>,
        stock: Option<Stock<'_>>,
    ) -> Result<Plan, Refusal> {
        let has_volume = |task: &TaskInfo| {
            let volume =
                |it: &Resource| it.disk.as_ref().is_some_and(|it| it.persistence.is_some());
            task.resources.iter().any(volume)
        };
        // Few tasks have one: the others are not compared with all that run.
        let in_use = if has_volume(&record.task) { self.volumes_in_use() } else { BTreeSet::new() };
        let machine = Machine {
            agent_id: &record.agent_id,
            container_id: &record.container_id,
            sandbox: &record.sandbox.to_string_lossy(),
            ip: self.settings.ip,
            endpoint: &self.settings.endpoint(),
            path: &self.settings.path,
            root: self.settings.root,
            work_dir: &self.settings.work_dir,
            stock,
            in_use: &in_use,
        };
        admit::admit(&record.task, framework, executor, &machine)
    }

    pub(super) fn refuse(&mut self, now_ms: u64, id: &str, refusal: Refusal, todo: &mut Todo) {
        info!(container_id = id, reason = refusal.message, "task refused");
        self.container(now_ms, id, Event::Ended(crate::lifecycle::Ended::Refused(refusal)), todo);
    }

    fn kill(
        &mut self,
        now_ms: u64,
        key: (String, String),
        policy: Option<&KillPolicy>,
        todo: &mut Todo,
    ) {
        let Some(id) = self.by_task.get(&key).cloned() else {
            info!(
                framework_id = key.0,
                task_id = key.1,
                "a task that is not here cannot be killed"
            );
            return;
        };
        let Some(entry) = self.containers.get(&id) else { return };
        let grace = policy.and_then(|policy| policy.grace_period.as_ref());
        let grace_ms =
            grace.map_or_else(|| entry.grace_ms(), |grace| admit::millis(grace.nanoseconds));
        let group = entry.record.group().map(ToOwned::to_owned);
        if entry.record.is_hosted() {
            return self.kill_one_hosted(now_ms, &id, grace_ms, policy.is_some(), todo);
        }
        self.container(now_ms, &id, Event::Stop { cause: StopCause::Asked, grace_ms }, todo);
        if let Some(group) = group {
            self.end_group(now_ms, &group, todo);
        }
    }

    fn acknowledge(&mut self, key: &(String, String), uuid: &[u8], todo: &mut Todo) {
        let Some(id) = self.by_task.get(key).cloned() else { return };
        let Some(entry) = self.containers.get_mut(&id) else { return };
        if entry.updates.acknowledge(uuid) == Acknowledged::Taken {
            todo.write(&entry.run, Write::Line(Line::Acknowledged));
            todo.updated.insert(id.clone());
            self.settle(&id, todo);
        }
    }

    fn shut_down(&mut self, now_ms: u64, framework_id: &str, todo: &mut Todo) {
        info!(framework_id, "framework is gone; ending its tasks");
        self.silence(now_ms, |entry| entry.record.framework_id == framework_id, todo);
        self.silence_customs(now_ms, |custom| custom.framework_id() == framework_id, todo);
    }
}
