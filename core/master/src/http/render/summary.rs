//! `/state-summary`: counts instead of tasks.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1::TaskState;
use serde_json::{Map, Value, json};

use super::{agents, frameworks};
use crate::ledger::{Task, View};

/// The states that are counted.
const STATES: [TaskState; 13] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
    TaskState::TaskDropped,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
];

#[derive(Default)]
struct Counts<'a> {
    states: BTreeMap<i32, u64>,
    others: BTreeSet<&'a str>,
}

impl<'a> Counts<'a> {
    fn count(&mut self, task: &Task, other: &'a str) {
        *self.states.entry(task.state.into()).or_default() += 1;
        self.others.insert(other);
    }

    fn put(&self, fields: &mut Map<String, Value>, others: &str) {
        for state in STATES {
            let n = self.states.get(&state.into()).copied().unwrap_or_default();
            fields.insert(state.as_str_name().to_owned(), json!(n));
        }
        fields.insert(others.to_owned(), json!(self.others));
    }
}

pub(in crate::http) fn summary(view: &View, cluster: &str) -> Value {
    let mut by_agent: BTreeMap<&str, Counts<'_>> = BTreeMap::new();
    let mut by_framework: BTreeMap<&str, Counts<'_>> = BTreeMap::new();
    for framework in view.frameworks.values() {
        let tasks = framework
            .tasks
            .values()
            .chain(framework.unreachable.values())
            .chain(&framework.completed);
        for task in tasks {
            by_agent.entry(task.agent.as_str()).or_default().count(task, framework.id.as_str());
            by_framework.entry(framework.id.as_str()).or_default().count(task, task.agent.as_str());
        }
    }
    let slave = |agent: &crate::ledger::Agent| {
        let mut fields = agents::slave(agent);
        by_agent
            .get(agent.id.as_str())
            .unwrap_or(&Counts::default())
            .put(&mut fields, "framework_ids");
        Value::Object(fields)
    };
    let framework = |framework: &crate::ledger::Framework| {
        let mut fields = frameworks::outline(framework);
        by_framework
            .get(framework.id.as_str())
            .unwrap_or(&Counts::default())
            .put(&mut fields, "slave_ids");
        Value::Object(fields)
    };
    json!({
        "hostname": view.identity.info.hostname,
        "cluster": cluster,
        "slaves": agents::present(view).map(slave).collect::<Vec<_>>(),
        "frameworks": view.frameworks.values().map(|it| framework(it)).collect::<Vec<_>>(),
    })
}
