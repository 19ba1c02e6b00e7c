//! What executors say.

use std::collections::BTreeSet;

use bytes::Bytes;
use karman_api::mesos::v1::executor::Event as Word;
use karman_api::mesos::v1::{AgentId, ContainerStatus, ExecutorId, FrameworkId, TaskStatus};
use karman_api::session::{AgentMessage, ExecutorMessage, agent_message};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::Event;
use crate::core::{Core, Todo, seconds, status};
use crate::lifecycle::{self, Phase, phase_of};
use crate::meta::Write;

/// Updates of one task that its framework has not acknowledged: its executor waits
/// with the next.
const UPDATES_MAX: usize = 1000;

/// A call of an executor.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) framework_id: String,
    pub(crate) executor_id: String,
    /// Shown by those that have been given one and show it.
    pub(crate) token: Option<String>,
    pub(crate) ask: Ask,
    /// Who asks may not wait for the answer.
    pub(crate) reply: oneshot::Sender<Result<(), Refused>>,
}

#[derive(Debug)]
pub(crate) enum Ask {
    Subscribe {
        /// Tasks that it was given and of which no word of it was acknowledged.
        tasks: Vec<String>,
        /// What it said and was not told to have been heard.
        updates: Vec<TaskStatus>,
        line: Line,
    },
    Update(Box<TaskStatus>),
    Message(Bytes),
}

/// The connection over which it hears from now on.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) words: mpsc::Sender<Word>,
    /// Told which container it is, for when the connection ends.
    pub(crate) container: oneshot::Sender<String>,
}

/// Why a call is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("Framework cannot be found")]
    NoFramework,
    #[error("Executor cannot be found")]
    NoExecutor,
    #[error("Executor is not subscribed")]
    NotSubscribed,
    #[error("The token is not the one that this executor was given")]
    WrongToken,
    #[error(
        "{UPDATES_MAX} updates of the task wait for the framework to acknowledge them; try again later"
    )]
    TooMany,
}

impl Core {
    pub(in crate::core) fn executor_asked(&mut self, now_ms: u64, asked: Asked, todo: &mut Todo) {
        let Asked { framework_id, executor_id, token, ask, reply } = asked;
        let key = (framework_id, executor_id);
        let answer = self.may_ask(&key, token.as_deref(), &ask);
        let answer = answer.and_then(|()| self.hear(now_ms, &key, ask, todo));
        // It hung up without waiting.
        let _gone = reply.send(answer);
    }

    fn may_ask(
        &self,
        key: &(String, String),
        token: Option<&str>,
        ask: &Ask,
    ) -> Result<(), Refused> {
        let Some(custom) = self.customs.get(key) else {
            let known = self.frameworks.contains_key(&key.0);
            return Err(if known { Refused::NoExecutor } else { Refused::NoFramework });
        };
        if token.is_some_and(|token| token != custom.record.token) {
            return Err(Refused::WrongToken);
        }
        let subscribes = matches!(ask, Ask::Subscribe { .. });
        if subscribes || custom.line.is_some() { Ok(()) } else { Err(Refused::NotSubscribed) }
    }

    fn hear(
        &mut self,
        now_ms: u64,
        key: &(String, String),
        ask: Ask,
        todo: &mut Todo,
    ) -> Result<(), Refused> {
        match ask {
            Ask::Subscribe { tasks, updates, line } => {
                self.subscribed(now_ms, key, tasks, (updates, line), todo);
                Ok(())
            }
            Ask::Update(status) => self.told(now_ms, key, *status, todo),
            Ask::Message(data) => {
                self.forward_message(key, data);
                Ok(())
            }
        }
    }

    fn subscribed(
        &mut self,
        now_ms: u64,
        key: &(String, String),
        tasks: Vec<String>,
        (updates, line): (Vec<TaskStatus>, Line),
        todo: &mut Todo,
    ) {
        let Some(custom) = self.customs.get_mut(key) else { return };
        info!(framework_id = key.0, executor_id = key.1, "executor subscribed");
        // An earlier connection of it ends with its line.
        let Line { number, words, container } = line;
        custom.line = Some((number, words));
        // It hung up at once.
        let _gone = container.send(custom.record.container_id.clone());
        todo.write(&custom.run, Write::Subscribed);
        if let Some(custom) = self.customs.get(key) {
            Self::say_word(key, self.welcome(custom), todo);
        }
        let mut heard: BTreeSet<String> = tasks.into_iter().collect();
        for status in updates {
            heard.insert(status.task_id.value.clone());
            // Unheard, it is said again.
            let _too_many = self.told(now_ms, key, status, todo);
        }
        self.custom(now_ms, key, Event::Subscribed { heard }, todo);
    }

    pub(in crate::core) fn hung_up(
        &mut self,
        now_ms: u64,
        container_id: &str,
        stream: u64,
        todo: &mut Todo,
    ) {
        let Some(key) = self.custom_of.get(container_id).cloned() else { return };
        let Some(custom) = self.customs.get_mut(&key) else { return };
        if custom.line.as_ref().is_some_and(|(number, _)| *number != stream) {
            // It has come back meanwhile.
            return;
        }
        custom.line = None;
        self.custom(now_ms, &key, Event::HungUp, todo);
    }

    /// An executor says something of a task. What cannot be used is acknowledged as
    /// well, or it would say so for ever.
    fn told(
        &mut self,
        now_ms: u64,
        key: &(String, String),
        status: TaskStatus,
        todo: &mut Todo,
    ) -> Result<(), Refused> {
        let task = status.task_id.value.clone();
        let uuid = status.uuid.clone().unwrap_or_default();
        let id = self.by_task.get(&(key.0.clone(), task.clone())).cloned();
        let entry = id.as_ref().and_then(|id| self.containers.get(id));
        let entry = entry.filter(|it| it.record.is_hosted() && it.record.executor_id() == key.1);
        match entry {
            Some(entry) if entry.updates.knows(&uuid) => {}
            Some(entry) if entry.machine.phase() < Phase::Terminal => {
                if entry.updates.waiting() >= UPDATES_MAX
                    && phase_of(status.state()) < Phase::Terminal
                {
                    return Err(Refused::TooMany);
                }
                self.take(now_ms, (key, id.as_deref().unwrap_or_default()), status.clone(), todo);
            }
            Some(_) | None => {
                warn!(
                    framework_id = key.0,
                    executor_id = key.1,
                    task_id = task,
                    "an update of a task that the executor does not run is ignored"
                );
            }
        }
        Self::say_acknowledged(key, status.task_id, uuid, todo);
        Ok(())
    }

    fn take(
        &mut self,
        now_ms: u64,
        (key, id): (&(String, String), &str),
        status: TaskStatus,
        todo: &mut Todo,
    ) {
        let settings = std::sync::Arc::clone(&self.settings);
        let Some(entry) = self.containers.get_mut(id) else { return };
        let task = status.task_id.value.clone();
        let before = entry.machine.phase();
        let said = status.state();
        entry.machine.apply(lifecycle::Event::Told(said));
        let after = entry.machine.phase();
        let mut status = completed(status, entry, &settings, now_ms);
        if let Some((state, reason)) =
            lifecycle::retold(entry.machine.traits(), entry.machine.goal(), said)
        {
            status.state = state.into();
            status.reason = Some(reason.into());
        }
        self.report(id, status, todo);
        let told = Event::Told { task, over: after == Phase::Terminal };
        self.custom(now_ms, key, told, todo);
        self.moved(now_ms, id, before, after, todo);
    }

    /// Best effort, and never in the way of updates.
    fn forward_message(&self, key: &(String, String), data: Bytes) {
        let Some(outgoing) = self.outgoing.as_ref() else { return };
        if outgoing.capacity() < outgoing.max_capacity() / 2 {
            warn!(
                framework_id = key.0,
                executor_id = key.1,
                "a message of an executor is dropped: too many wait"
            );
            return;
        }
        let message = ExecutorMessage {
            framework_id: Some(FrameworkId { value: key.0.clone() }),
            executor_id: Some(ExecutorId { value: key.1.clone() }),
            data,
        };
        let body = Some(agent_message::Body::Message(message));
        let _full = outgoing.try_send(AgentMessage { body });
    }
}

/// With what only the agent knows of the task.
fn completed(
    mut status: TaskStatus,
    entry: &super::super::Entry,
    settings: &crate::settings::Settings,
    now_ms: u64,
) -> TaskStatus {
    status.agent_id = Some(AgentId { value: entry.record.agent_id.clone() });
    status.executor_id = Some(ExecutorId { value: entry.record.executor_id().to_owned() });
    status.timestamp.get_or_insert_with(|| seconds(now_ms));
    let own = status::container(settings, entry);
    let said = status.container_status.take();
    let network_infos = said.map(|said| said.network_infos).filter(|said| !said.is_empty());
    status.container_status =
        Some(ContainerStatus { network_infos: network_infos.unwrap_or(own.network_infos), ..own });
    status
}
