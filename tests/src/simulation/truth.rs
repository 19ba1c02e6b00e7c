//! What really happened, which no single part of the system knows, and what must
//! be true of it at every step.

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1;
use karman_api::mesos::v1::TaskState;
use karman_master::ledger::{View, is_terminal};
use karman_model::resource::{Resource, Resources};

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
    /// What has come about in the run, for those who want to know that it does.
    pub(super) seen: BTreeSet<&'static str>,
    /// Ids that an agent was told: never forgotten.
    pub(super) agents: BTreeSet<String>,
    /// Ids whose agent has forgotten them.
    pub(super) lost_agents: BTreeSet<String>,
    /// Ids that an operator wanted to end.
    pub(super) condemned: BTreeSet<String>,
    /// Who has or had which id.
    pub(super) places: BTreeMap<String, usize>,
    /// Hosts that an operator took down once.
    pub(super) taken_down: BTreeSet<String>,
    /// By agent and label: what an agent was told is reserved on it, on the whole.
    kept: BTreeMap<(String, String), Resources>,
    /// By agent and id: the volumes that it was told of.
    volumes: BTreeSet<(String, String)>,
    /// Labels and ids of which somebody wanted to give something back.
    undone: BTreeSet<String>,
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
    /// An agent was told that it has this: from now on it is so.
    pub(super) fn reserved(&mut self, agent: &str, told: &Resources) {
        for resource in told {
            for label in labels(resource) {
                let key = (agent.to_owned(), label.to_owned());
                self.kept.entry(key).or_insert_with(|| labelled(told, label));
            }
            if let Some(id) = resource.kind.volume_id() {
                self.volumes.insert((agent.to_owned(), id.to_owned()));
            }
        }
    }

    /// Somebody asks to give back some of it, or asks again later.
    pub(super) fn undo(&mut self, resources: &Resources) {
        for resource in resources {
            self.undone.extend(labels(resource).map(str::to_owned));
            self.undone.extend(resource.kind.volume_id().map(str::to_owned));
        }
    }

    /// Nothing that an agent was told of is lost unless somebody wanted it.
    pub(super) fn check_kept(&self, view: &View) {
        for ((agent, label), kept) in &self.kept {
            let Some(agent) = view.agents.get(agent.as_str()) else { continue };
            let left = labelled(&agent.total, label);
            assert!(
                self.undone.contains(label) || left.contains(kept),
                "{kept} was reserved as {label} on {}, {left} is left",
                agent.id
            );
        }
        for (agent, id) in &self.volumes {
            let Some(agent) = view.agents.get(agent.as_str()) else { continue };
            let has = agent.total.iter().any(|it| it.kind.volume_id() == Some(id));
            assert!(has || self.undone.contains(id), "the volume {id} of {} is lost", agent.id);
        }
    }

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

/// What tells the reservations of a resource apart: each has a label of its own.
fn labels(resource: &Resource) -> impl Iterator<Item = &str> {
    let levels = resource.kind.reservations.iter();
    levels.flat_map(|level| &level.labels).filter_map(|label| label.value.as_deref())
}

/// What is reserved under the label, whatever it was made into.
fn labelled(all: &Resources, label: &str) -> Resources {
    let own = all.iter().filter(|resource| labels(resource).any(|it| it == label));
    own.cloned().collect::<Resources>().origin()
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
