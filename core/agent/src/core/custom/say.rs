//! What executors are told, in their wire form.

use std::path::PathBuf;

use bytes::Bytes;
use karman_api::mesos::v1::executor::Event as Word;
use karman_api::mesos::v1::executor::event::{
    Acknowledged, Kill, Launch, LaunchGroup, Message, Subscribed, Type,
};
use karman_api::mesos::v1::{DurationInfo, KillPolicy, TaskGroupInfo, TaskId, TaskInfo};
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, warn};

use super::Custom;
use crate::core::{Core, Event, Todo};
use crate::executors::Say;

/// A word for an executor, once everything is on record.
#[derive(Debug)]
pub(in crate::core) struct Said {
    to: (String, String),
    word: Box<Word>,
    /// The records of the tasks that it hands over.
    runs: Vec<PathBuf>,
}

fn word(kind: Type) -> Word {
    Word { r#type: Some(kind.into()), ..Word::default() }
}

impl Core {
    pub(super) fn say(&mut self, key: &(String, String), say: Say, todo: &mut Todo) {
        let mut runs = Vec::new();
        let word = match say {
            Say::Launch(task) => {
                let Some(task) = self.handed_over(key, &task, &mut runs) else { return };
                Word { launch: Some(Launch { task }), ..word(Type::Launch) }
            }
            Say::LaunchGroup(tasks) => {
                let tasks =
                    tasks.iter().filter_map(|it| self.handed_over(key, it, &mut runs)).collect();
                let task_group = TaskGroupInfo { tasks };
                Word { launch_group: Some(LaunchGroup { task_group }), ..word(Type::LaunchGroup) }
            }
            Say::Kill { task, grace_ms } => {
                let nanoseconds =
                    |ms: u64| i64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
                let kill_policy = grace_ms.map(|ms| KillPolicy {
                    grace_period: Some(DurationInfo { nanoseconds: nanoseconds(ms) }),
                });
                let kill = Kill { task_id: TaskId { value: task }, kill_policy };
                Word { kill: Some(kill), ..word(Type::Kill) }
            }
            Say::Shutdown => word(Type::Shutdown),
        };
        todo.says.push(Said { to: key.clone(), word: Box::new(word), runs });
    }

    fn handed_over(
        &self,
        key: &(String, String),
        task: &str,
        runs: &mut Vec<PathBuf>,
    ) -> Option<TaskInfo> {
        let id = self.by_task.get(&(key.0.clone(), task.to_owned()))?;
        let entry = self.containers.get(id)?;
        runs.push(entry.run.path().to_owned());
        let mut task = entry.record.task.clone();
        let member = entry.record.member.as_ref()?;
        // As executors know it: whoever runs a task of a group is named in it.
        task.executor.get_or_insert_with(|| Box::new(member.executor.clone()));
        Some(task)
    }

    /// Who it is and what is around it.
    pub(super) fn welcome(&self, custom: &Custom) -> Word {
        let subscribed = Subscribed {
            executor_info: custom.record.executor.clone(),
            framework_info: (*custom.framework).clone(),
            agent_info: self.settings.agent_info(Some(&custom.record.agent_id)),
            container_id: Some(custom.record.container()),
        };
        Word { subscribed: Some(subscribed), ..word(Type::Subscribed) }
    }

    pub(super) fn say_acknowledged(
        key: &(String, String),
        task_id: TaskId,
        uuid: Bytes,
        todo: &mut Todo,
    ) {
        let acknowledged = Some(Acknowledged { task_id, uuid });
        let word = Word { acknowledged, ..word(Type::Acknowledged) };
        todo.says.push(Said { to: key.clone(), word: Box::new(word), runs: Vec::new() });
    }

    /// Best effort.
    pub(in crate::core) fn pass_message(
        &mut self,
        key: (String, String),
        data: Bytes,
        todo: &mut Todo,
    ) {
        if self.customs.get(&key).is_none_or(|custom| custom.line.is_none()) {
            return self.drop_message(&key.0, &key.1);
        }
        let word = Word { message: Some(Message { data }), ..word(Type::Message) };
        todo.says.push(Said { to: key, word: Box::new(word), runs: Vec::new() });
    }

    pub(super) fn say_word(key: &(String, String), word: Word, todo: &mut Todo) {
        todo.says.push(Said { to: key.clone(), word: Box::new(word), runs: Vec::new() });
    }

    /// Tells executors. A task that could not be put on record is not handed over.
    pub(in crate::core) fn tell_executors(
        &mut self,
        says: Vec<Said>,
        failed: &std::collections::BTreeMap<PathBuf, String>,
    ) {
        for Said { to, word, runs } in says {
            if let Some(reason) = runs.iter().find_map(|run| failed.get(run)) {
                let names = runs.iter().filter_map(|run| run.file_name()?.to_str());
                names.for_each(|name| self.not_on_record(name.to_owned(), reason));
                continue;
            }
            let Some(custom) = self.customs.get_mut(&to) else { continue };
            let Some((stream, words)) = &custom.line else { continue };
            let Err(problem) = words.try_send(*word) else { continue };
            match problem {
                TrySendError::Full(_) => {
                    warn!(
                        framework_id = to.0,
                        executor_id = to.1,
                        "an executor that does not read is cut off"
                    );
                }
                TrySendError::Closed(_) => {
                    debug!(framework_id = to.0, executor_id = to.1, "an executor has hung up");
                }
            }
            let (container_id, stream) = (custom.record.container_id.clone(), *stream);
            custom.line = None;
            self.later(Event::ExecutorHungUp { container_id, stream });
        }
    }
}
