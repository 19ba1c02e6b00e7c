//! `/state-summary`: counts instead of tasks.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1::TaskState;
use serde_json::{Map, Value, json};

use super::stream::{append, write};
use super::{agents, frameworks};
use crate::ledger::{States, Task, View};

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
    states: States,
    others: BTreeSet<&'a str>,
}

impl<'a> Counts<'a> {
    fn count(&mut self, task: &Task, other: &'a str) {
        self.states.add(task.state);
        self.others.insert(other);
    }

    fn fields(&self, others: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        for state in STATES {
            fields.insert(state.as_str_name().to_owned(), json!(self.states.count(state)));
        }
        fields.insert(others.to_owned(), json!(self.others));
        fields
    }
}

pub(in crate::http) fn summary(view: &View, cluster: &str) -> Vec<u8> {
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
    let (no_tasks, mut json) = (Counts::default(), Vec::new());
    let head = json!({ "hostname": view.identity.info.hostname, "cluster": cluster });
    write(&mut json, &head);
    json.pop();
    json.extend_from_slice(br#","slaves":["#);
    for (at, agent) in agents::present(view).enumerate() {
        separate(&mut json, at);
        let counts = by_agent.get(agent.id.as_str()).unwrap_or(&no_tasks);
        json.extend_from_slice(agents::shown_outline(agent));
        append(&mut json, &counts.fields("framework_ids"));
    }
    json.extend_from_slice(br#"],"frameworks":["#);
    for (at, framework) in view.frameworks.values().enumerate() {
        separate(&mut json, at);
        let counts = by_framework.get(framework.id.as_str()).unwrap_or(&no_tasks);
        write(&mut json, &frameworks::outline(framework));
        append(&mut json, &counts.fields("slave_ids"));
    }
    json.extend_from_slice(b"]}");
    json
}

fn separate(json: &mut Vec<u8>, at: usize) {
    if at > 0 {
        json.push(b',');
    }
}
