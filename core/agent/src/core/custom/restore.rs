//! Picks up executors that an earlier process of this agent left.

use std::collections::BTreeMap;
use std::sync::Arc;

use karman_api::convert::resources_from_wire;
use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{FrameworkInfo, TaskState};
use tracing::warn;

use super::Custom;
use crate::admit::{self, Refusal};
use crate::core::{Core, Event as Happened, Todo};
use crate::executors::Executor;
use crate::lifecycle::{self, Abandoned, Ended, Goal, Phase};
use crate::meta::{FoundExecutor, Write};
use crate::recover::{self, Action, Facts};
use crate::shim::records::Kill;

impl Core {
    /// After their tasks were.
    pub(in crate::core) fn restore_customs(
        &mut self,
        now_ms: u64,
        found: Vec<(FoundExecutor, Facts)>,
        todo: &mut Todo,
    ) {
        for (found, facts) in found {
            self.restore_custom(now_ms, found, facts, todo);
        }
        self.restore_orphans(now_ms, todo);
    }

    fn restore_custom(&mut self, now_ms: u64, found: FoundExecutor, facts: Facts, todo: &mut Todo) {
        let FoundExecutor { record, subscribed } = found;
        let executed = facts.executed;
        let (action, _, goal) = recover::recover(facts);
        let ending = goal != Goal::Run;
        let framework = self.framework_of(&record.framework_id);
        let key = (record.framework_id.clone(), record.executor_id().to_owned());
        let runs = action == Action::Watch && executed;
        let state = (runs, subscribed, ending);
        let mut machine = Executor::restored(self.settings.executors, now_ms, state);
        let names = self.adopt_tasks(&record.container_id, &mut machine);
        let own = resources_from_wire(&record.executor.resources).unwrap_or_default();
        let own = admit::countable(&own.unallocated());
        let custom = Custom::new(&self.settings, record, &framework, machine, own);
        if action == Action::Launch && names.is_empty() {
            // Its tasks never came on record: nothing was started.
            return todo.write(&custom.run, Write::Forget);
        }
        self.resume_custom(&custom, &names, (action, ending), todo);
        self.keep_custom(key, custom);
    }

    /// The tasks of an executor, which waits for it to say which it knows.
    fn adopt_tasks(&self, container_id: &str, machine: &mut Executor) -> Vec<String> {
        let mut groups: BTreeMap<&str, u64> = BTreeMap::new();
        let mut living: Vec<_> = self
            .containers
            .values()
            .filter(|entry| entry.record.is_hosted() && entry.record.root().0 == container_id)
            .filter(|entry| entry.machine.phase() < Phase::Terminal)
            .collect();
        living.sort_by_key(|entry| (entry.record.launched_ms, entry.record.group()));
        for (number, entry) in (0..).zip(&living) {
            let group = entry.record.group().map(|name| *groups.entry(name).or_insert(number));
            let heard = !entry.view.statuses.is_empty();
            machine.adopt(entry.record.task.task_id.value.clone(), group, heard);
        }
        living.into_iter().map(|entry| entry.record.container_id.clone()).collect()
    }

    fn resume_custom(
        &self,
        custom: &Custom,
        tasks: &[String],
        (action, ending): (Action, bool),
        todo: &mut Todo,
    ) {
        let ended = |ended| Happened::Container {
            container_id: custom.container_id().to_owned(),
            event: lifecycle::Event::Ended(ended),
        };
        if ending && action == Action::Watch {
            custom.stop.cancel();
            let bytes = std::fs::read(custom.run.kill()).unwrap_or_default();
            let kill = serde_json::from_slice::<crate::shim::records::Stored<Kill>>(&bytes);
            todo.kills.extend(kill.ok().map(|kill| (custom.run.clone(), kill.newest())));
        }
        match action {
            Action::Conclude(_) | Action::Vanished | Action::Watch => {
                todo.watches.push(custom.job());
            }
            Action::Reboot => todo.events.push(ended(Ended::Rebooted)),
            Action::Launch | Action::Forget | Action::Deliver => {
                let resources = tasks.iter().filter_map(|id| {
                    Some(self.containers.get(id)?.record.task.resources.as_slice())
                });
                match self.plan_executor(&custom.record, &custom.framework, resources) {
                    Ok(plan) => todo.launches.push((custom.job(), Arc::new(plan))),
                    Err(refusal) => {
                        let reason = refusal.message;
                        todo.events.push(ended(Ended::Unrecorded { reason }));
                    }
                }
            }
        }
    }

    fn framework_of(&self, id: &str) -> Arc<FrameworkInfo> {
        self.frameworks.get(id).cloned().unwrap_or_else(|| {
            warn!(framework_id = id, "checkpoint of a framework is missing");
            let id = Some(karman_api::mesos::v1::FrameworkId { value: id.to_owned() });
            Arc::new(FrameworkInfo { id, ..FrameworkInfo::default() })
        })
    }

    /// Tasks whose executor is not on record: it had ended already, or was never
    /// started.
    fn restore_orphans(&mut self, now_ms: u64, todo: &mut Todo) {
        let orphans = self.living(|entry| {
            entry.record.is_hosted() && !self.custom_of.contains_key(entry.record.root().0)
        });
        for id in orphans {
            let Some(entry) = self.containers.get(&id) else { continue };
            let aware = admit::is_partition_aware(&entry.view.framework);
            let ended = if entry.view.statuses.is_empty() {
                Ended::Refused(Refusal {
                    state: if aware { TaskState::TaskDropped } else { TaskState::TaskLost },
                    reason: Reason::AgentRestarted,
                    message: "The agent was restarted before the executor was started".into(),
                })
            } else {
                Ended::Abandoned(Abandoned {
                    reason: Reason::ExecutorTerminated,
                    message: "The executor ended".into(),
                    wanted: false,
                    exit: None,
                })
            };
            self.container(now_ms, &id, lifecycle::Event::Ended(ended), todo);
        }
    }
}
