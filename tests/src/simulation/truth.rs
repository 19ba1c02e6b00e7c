//! What really happened, which no single part of the system knows, and what must
//! be true of it at every step.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_master::ledger::is_terminal;

use super::agent::Name;
use super::world::World;

/// A status update that an agent made.
#[derive(Debug)]
struct Update {
    name: Name,
    /// Its place among all updates.
    number: u64,
    state: TaskState,
}

#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Ids that an agent was told: never forgotten.
    pub(super) agents: BTreeSet<String>,
    /// Ids whose agent has forgotten them.
    pub(super) lost_agents: BTreeSet<String>,
    /// Ids that an operator wanted to end.
    pub(super) condemned: BTreeSet<String>,
    /// Ids that a framework was told: never forgotten.
    pub(super) frameworks: BTreeSet<String>,
    /// Who has which id.
    pub(super) names: BTreeMap<String, usize>,
    /// Frameworks that somebody wanted to end.
    pub(super) torn_down: BTreeSet<usize>,
    /// Since when a framework may be seen as away.
    pub(super) away: BTreeMap<usize, u64>,
    /// How far clocks were set forward in all.
    pub(super) clock_ms: u64,
    /// Where tasks run, more than once for those whose framework launched two by
    /// one name.
    running: BTreeMap<Name, BTreeSet<usize>>,
    updates: BTreeMap<Vec<u8>, Update>,
    /// Updates that a framework has acknowledged.
    pub(super) acknowledged: BTreeSet<Vec<u8>>,
    /// The newest update of a task that its framework has received.
    delivered: BTreeMap<Name, u64>,
    pub(super) commands: u64,
}

impl Truth {
    pub(super) fn started(&mut self, agent: usize, name: &Name) {
        self.running.entry(name.clone()).or_default().insert(agent);
    }

    pub(super) fn ended(&mut self, agent: usize, name: &Name) {
        if let Some(agents) = self.running.get_mut(name) {
            agents.remove(&agent);
        }
    }

    /// With its machine.
    pub(super) fn vanished(&mut self, name: &Name) {
        self.running.remove(name);
    }

    pub(super) fn made(&mut self, uuid: [u8; 16], name: &Name, state: TaskState) {
        let number = self.updates.len() as u64;
        self.updates.insert(uuid.to_vec(), Update { name: name.clone(), number, state });
    }
}

impl World {
    /// A task runs once, unless its framework gave the name to two.
    pub(super) fn check_once(&self, name: &Name) {
        let places = self.truth.running.get(name).map_or(0, BTreeSet::len);
        assert!(places < 2 || self.is_doubled(name), "{name:?} runs {places} times");
    }

    pub(super) fn is_doubled(&self, (framework, task): &Name) -> bool {
        self.truth
            .names
            .get(framework)
            .and_then(|index| self.frameworks[*index].tasks.get(task))
            .is_some_and(|view| view.doubled)
    }

    /// An agent was told that its update has arrived: it has.
    pub(super) fn check_acknowledged(&self, name: &Name, uuid: &[u8]) {
        let Some(update) = self.truth.updates.get(uuid) else {
            panic!("an acknowledgement of nothing: {name:?}");
        };
        assert_eq!(update.name, *name, "an acknowledgement of another task");
        // What a framework does not understand is acknowledged in its name.
        let silently = update.state == TaskState::TaskKilling || self.is_doubled(name);
        assert!(
            silently || self.truth.acknowledged.contains(uuid),
            "{name:?}: {} was acknowledged and its framework never heard of it",
            update.state.as_str_name()
        );
    }

    /// A framework hears of updates in order.
    pub(super) fn check_delivered(&mut self, index: usize, status: &v1::TaskStatus) {
        let Some(framework) = self.frameworks[index].id.clone() else { return };
        let name = (framework, status.task_id.value.clone());
        assert!(
            self.frameworks[index].tasks.contains_key(&name.1)
                || name.1.starts_with(&format!("f{index}-")),
            "framework {index} hears of a task of another: {}",
            name.1
        );
        let Some(uuid) = &status.uuid else { return };
        let update = self.truth.updates.get(&uuid[..]);
        let update = update.unwrap_or_else(|| panic!("an update that no agent made: {status:?}"));
        assert_eq!(update.name, name, "the update of another task");
        assert_eq!(update.state, status.state(), "an update is delivered as it was made");
        let number = update.number;
        let doubled = self.is_doubled(&name);
        let last = self.truth.delivered.entry(name).or_default();
        assert!(
            number >= *last || doubled,
            "{}: {} is delivered after what came later",
            status.task_id.value,
            status.state().as_str_name()
        );
        *last = number;
    }

    /// Nobody is removed who did not ask for it and was not away for too long.
    pub(super) fn check_removed(&self, index: usize) {
        if self.truth.torn_down.contains(&index) {
            return;
        }
        let failover = self.frameworks[index].failover_ms;
        let away = self.truth.away.get(&index).map(|since| self.now - since);
        assert!(
            away.is_some_and(|away| away + self.truth.clock_ms >= failover),
            "framework {index} was away for {away:?} ms of {failover} and is removed"
        );
    }

    /// The tasks of a framework are ended only when it is.
    pub(super) fn check_shut_down(&self, framework: &str) {
        let Some(index) = self.truth.names.get(framework) else { return };
        if !self.frameworks[*index].dead {
            self.check_removed(*index);
        }
    }

    /// The agents and names of everything that really runs.
    pub(super) fn running(&self) -> BTreeMap<Name, Vec<(usize, TaskState)>> {
        let mut all: BTreeMap<Name, Vec<(usize, TaskState)>> = BTreeMap::new();
        for (index, agent) in self.agents.iter().enumerate() {
            for (name, task) in &agent.tasks {
                if !is_terminal(task.state) {
                    all.entry(name.clone()).or_default().push((index, task.state));
                }
            }
        }
        all
    }
}
