//! What the master says.

use std::sync::Arc;

use karman_api::mesos::v1::{ExecutorInfo, FrameworkId, FrameworkInfo, KillPolicy, TaskInfo};
use karman_api::session::master_message::Body;
use karman_api::session::{
    Acknowledge, AgentTask, Drain, ExecutorMessage, Kill, Launch, Register, Shutdown,
    ShutdownExecutor, ShutdownFramework,
};
use tracing::{info, warn};
use uuid::Uuid;

use super::entry::traits;
use super::{Core, Entry, Membership, Todo};
use crate::admit::{self, Machine, Plan, Refusal};
use crate::drain;
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
            Change::Rejected { reason } => {
                self.membership.send_replace(Membership::Rejected { reason });
            }
        }
    }

    /// Everything that a master which knows nothing must know.
    fn register(&self) -> Register {
        let task = |entry: &Entry| AgentTask {
            framework_id: Some(FrameworkId { value: entry.record.framework_id.clone() }),
            task: Some(entry.record.task.clone()),
            status: entry.updates.outstanding().cloned(),
            latest: entry.updates.latest().cloned(),
            executor: None,
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
            held: Vec::new(),
            drain: self.drain.as_ref().map(|drain| drain.config),
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
                data: _,
            }) => self.drop_message(&framework.value, &executor.value),
            Body::Drain(Drain { config }) => self.drain(now_ms, config, todo),
            Body::Shutdown(Shutdown { reason }) => self.removed(now_ms, reason, todo),
            Body::Resources(_) | Body::Registered(_) | Body::Rejected(_) | Body::Ping(_) => {}
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
        for task in tasks {
            self.launch_one(now_ms, &framework_id, &framework, executor, task, todo);
        }
    }

    fn launch_one(
        &mut self,
        now_ms: u64,
        framework_id: &str,
        framework: &Arc<FrameworkInfo>,
        executor: Option<&ExecutorInfo>,
        task: TaskInfo,
        todo: &mut Todo,
    ) {
        let Some(agent_id) = self.agent_id.clone() else { return };
        let task_id = task.task_id.value.clone();
        let key = (framework_id.to_owned(), task_id.clone());
        if self.by_task.contains_key(&key) {
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
            agent_id: agent_id.clone(),
            framework_id: framework_id.to_owned(),
            container_id: container_id.clone(),
            sandbox,
            launched_ms: now_ms,
            task,
        };
        let free = admit::countable(&self.settings.resources).saturating_sub(&self.used);
        let planned = match &self.drain {
            Some(_) => Err(drain::Drain::refusal(traits(framework, None).partition_aware)),
            None => self.plan(&record, framework, executor, Some(&free)),
        };
        info!(framework_id, task_id, container_id, "launching");
        let run = self.settings.run_dir(&agent_id, &container_id);
        let group = self
            .settings
            .hierarchy
            .as_ref()
            .map(|hierarchy| hierarchy.group(&agent_id, &container_id));
        todo.write(&run, Write::Create(Box::new(record.clone())));
        let (plan, refusal) = match planned {
            Ok(plan) => (Some(plan), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let entry = Entry::new(record, run, group, plan, framework);
        self.by_task.insert(key, container_id.clone());
        if let Some(plan) = &entry.plan {
            todo.launches.push((entry.job(), Arc::clone(plan)));
        }
        self.used = self.used.clone() + entry.resources.clone();
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
        free: Option<&karman_model::resource::Resources>,
    ) -> Result<Plan, Refusal> {
        let machine = Machine {
            agent_id: &record.agent_id,
            container_id: &record.container_id,
            sandbox: &record.sandbox.to_string_lossy(),
            endpoint: &self.settings.endpoint(),
            path: &self.settings.path,
            root: self.settings.root,
            free,
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
        self.container(now_ms, &id, Event::Stop { cause: StopCause::Asked, grace_ms }, todo);
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
    }
}
