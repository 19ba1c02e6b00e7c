//! Executors that frameworks bring along: one process each, which runs tasks
//! that this agent knows by what the executor says of them.

mod calls;
mod end;
mod launch;
mod restore;
mod say;

pub(crate) use calls::{Ask, Asked, Line, Refused};
pub(super) use end::wait_status;
pub(super) use say::Said;

use std::collections::BTreeSet;
use std::sync::Arc;

use karman_api::mesos::v1::executor::Event as Word;
use karman_api::mesos::v1::{FrameworkId, FrameworkInfo};
use karman_api::session::AgentExecutor;
use karman_model::resource::Resources;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Core, Todo};
use crate::cgroup::Group;
use crate::driver::Job;
use crate::executors::{Effect, Event, Executor};
use crate::meta::ExecutorRecord;
use crate::settings::Settings;
use crate::shim::records::RunDir;
use crate::view::ExecutorView;

/// What an executor has not read yet; one that lets more come is cut off, and
/// hears the rest when it comes back.
pub(crate) const WORDS_MAX: usize = 1024;

/// Everything about an executor until its process is gone.
#[derive(Debug)]
pub(super) struct Custom {
    record: Arc<ExecutorRecord>,
    framework: Arc<FrameworkInfo>,
    run: RunDir,
    group: Option<Group>,
    machine: Executor,
    /// What it takes beside its tasks, as it is counted.
    resources: Resources,
    /// Its framework is gone: nobody wants to hear.
    silent: bool,
    /// Cancelled when it is to stop.
    stop: CancellationToken,
    /// The connection over which it hears, with its number.
    line: Option<(u64, mpsc::Sender<Word>)>,
    view: ExecutorView,
}

impl Custom {
    fn new(
        settings: &Settings,
        record: ExecutorRecord,
        framework: &Arc<FrameworkInfo>,
        machine: Executor,
        resources: Resources,
    ) -> Self {
        let record = Arc::new(record);
        let group = settings.hierarchy.as_ref();
        let group = group.map(|it| it.group(&record.agent_id, &record.container_id));
        let view = ExecutorView::new(Arc::clone(&record), Arc::clone(framework), group.clone());
        Self {
            run: settings.executor_dir(&record.agent_id, &record.container_id),
            framework: Arc::clone(framework),
            record,
            group,
            machine,
            resources,
            silent: false,
            stop: CancellationToken::new(),
            line: None,
            view,
        }
    }

    pub(super) fn container_id(&self) -> &str {
        &self.record.container_id
    }

    pub(super) fn framework_id(&self) -> &str {
        &self.record.framework_id
    }

    pub(super) fn agent_id(&self) -> &str {
        &self.record.agent_id
    }

    pub(super) fn is_named(&self, framework: &str, executor: &str) -> bool {
        self.record.framework_id == framework && self.record.executor_id() == executor
    }

    /// Whether its process does.
    pub(super) fn runs(&self) -> bool {
        self.view.task_pid.is_some()
    }

    /// Where it is, for what is started inside of it.
    pub(super) fn place(&self) -> (RunDir, std::path::PathBuf) {
        (self.run.clone(), self.record.sandbox.clone())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }

    /// What others see.
    pub(super) fn view(&self) -> Arc<ExecutorView> {
        let tasks = self.machine.tasks().filter(|task| self.machine.is_queued(task));
        let queued: BTreeSet<String> = tasks.map(ToOwned::to_owned).collect();
        Arc::new(ExecutorView { queued, ..self.view.clone() })
    }

    fn job(&self) -> Job {
        Job {
            container_id: self.record.container_id.clone(),
            run: self.run.clone(),
            sandbox: self.record.sandbox.clone(),
            parent: None,
            group: self.group.clone(),
            stop: self.stop.clone(),
        }
    }
}

impl Core {
    /// Something happens to an executor.
    fn custom(&mut self, now_ms: u64, key: &(String, String), event: Event, todo: &mut Todo) {
        let Some(custom) = self.customs.get_mut(key) else { return };
        let effects = custom.machine.apply(now_ms, event);
        for effect in effects {
            match effect {
                Effect::Say(say) => self.say(key, say, todo),
                Effect::Spare { task } => self.spare(now_ms, key, &task, todo),
                Effect::End { grace_ms, quiet } => self.end_process(key, grace_ms, quiet, todo),
            }
        }
    }

    pub(super) fn custom_by_container(&self, container_id: &str) -> Option<&Custom> {
        self.customs.get(self.custom_of.get(container_id)?)
    }

    pub(super) fn look_at_customs(&mut self, now_ms: u64, todo: &mut Todo) {
        let keys: Vec<_> = self.customs.keys().cloned().collect();
        for key in keys {
            self.custom(now_ms, &key, Event::Tick, todo);
        }
    }

    pub(super) fn custom_runs(&mut self, container_id: &str, shim_pid: u32, task_pid: u32) {
        let Some(key) = self.custom_of.get(container_id) else { return };
        let Some(custom) = self.customs.get_mut(key) else { return };
        (custom.view.shim_pid, custom.view.task_pid) = (Some(shim_pid), Some(task_pid));
        let record = Arc::clone(&custom.record);
        for entry in self.containers.values_mut() {
            if entry.record.is_hosted() && entry.record.root().0 == record.container_id {
                entry.view_mut().shim_pid = Some(shim_pid);
            }
        }
    }

    /// What a master that knows nothing must know of them.
    pub(super) fn customs_for_register(&self) -> Vec<AgentExecutor> {
        let known = self.customs.values().filter(|custom| !custom.silent);
        let executor = |custom: &Custom| AgentExecutor {
            framework_id: Some(FrameworkId { value: custom.framework_id().to_owned() }),
            executor: Some(custom.record.executor.clone()),
        };
        known.map(executor).collect()
    }
}
