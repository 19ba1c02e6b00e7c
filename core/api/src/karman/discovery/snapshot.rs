//! The task table of the master as far as names and addresses need it, kept up
//! to date by the messages of the discovery stream. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use super::{Agent, Framework, Master, Message, Task, TaskKey};

/// Everything the master said, as of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub generation: u64,
    pub leader: Option<Master>,
    /// By framework and task id.
    pub tasks: BTreeMap<(String, String), Task>,
    pub agents: BTreeMap<String, Agent>,
    pub frameworks: BTreeMap<String, Framework>,
}

/// What a message did to a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Changed,
    /// A keep-alive.
    Unchanged,
}

/// A generation is missing between the snapshot and the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("generation {got} came after {have}; the stream must be read from its beginning")]
pub struct Gap {
    pub have: u64,
    pub got: u64,
}

impl Snapshot {
    /// The snapshot that a full message describes.
    pub fn new(message: Message) -> Self {
        let mut snapshot = Self::default();
        snapshot.replace(message);
        snapshot
    }

    pub fn apply(&mut self, message: Message) -> Result<Applied, Gap> {
        let (have, got) = (self.generation, message.generation);
        if message.full {
            self.replace(message);
            Ok(Applied::Changed)
        } else if got == have {
            Ok(Applied::Unchanged)
        } else if got == have + 1 {
            self.merge(message);
            Ok(Applied::Changed)
        } else {
            Err(Gap { have, got })
        }
    }

    fn replace(&mut self, message: Message) {
        *self = Self {
            generation: message.generation,
            leader: message.leader.clone(),
            ..Self::default()
        };
        self.merge(message);
    }

    fn merge(&mut self, message: Message) {
        let Message {
            generation,
            full: _,
            leader,
            tasks,
            agents,
            frameworks,
            removed_tasks,
            removed_agents,
            removed_frameworks,
        } = message;
        self.generation = generation;
        self.leader = leader.or(self.leader.take());
        // Removals first: a task that ended and one that took its id may meet
        // in one message.
        for TaskKey { framework_id, id } in removed_tasks {
            self.tasks.remove(&(framework_id, id));
        }
        for id in &removed_agents {
            self.agents.remove(id);
        }
        for id in &removed_frameworks {
            self.frameworks.remove(id);
        }
        self.tasks.extend(
            tasks.into_iter().map(|task| ((task.framework_id.clone(), task.id.clone()), task)),
        );
        self.agents.extend(agents.into_iter().map(|agent| (agent.id.clone(), agent)));
        self.frameworks
            .extend(frameworks.into_iter().map(|framework| (framework.id.clone(), framework)));
    }

    /// This snapshot, and of `previous` the agents that are not in it with their
    /// tasks. A master that has just started knows an agent only once that agent
    /// has come back; its tasks ran all the time.
    #[must_use]
    pub fn with_absent(&self, previous: &Self) -> Self {
        let mut joined = self.clone();
        let absent = |id: &str| !self.agents.contains_key(id);
        for agent in previous.agents.values().filter(|agent| absent(&agent.id)) {
            joined.agents.insert(agent.id.clone(), agent.clone());
        }
        for (key, task) in previous.tasks.iter().filter(|(_, task)| absent(&task.agent_id)) {
            joined.tasks.entry(key.clone()).or_insert_with(|| task.clone());
            if let Some(framework) = previous.frameworks.get(&task.framework_id) {
                let known = joined.frameworks.entry(framework.id.clone());
                known.or_insert_with(|| framework.clone());
            }
        }
        joined
    }

    /// Forgets the agents that `newer` knows, with their tasks: from then on it
    /// alone speaks for them.
    pub fn forget_known(&mut self, newer: &Self) {
        self.tasks.retain(|_, task| !newer.agents.contains_key(&task.agent_id));
        self.agents.retain(|id, _| !newer.agents.contains_key(id));
    }

    /// The full message that describes this snapshot; it is what lies on disk.
    pub fn to_message(&self) -> Message {
        let Self { generation, leader, tasks, agents, frameworks } = self;
        Message {
            generation: *generation,
            full: true,
            leader: leader.clone(),
            tasks: tasks.values().cloned().collect(),
            agents: agents.values().cloned().collect(),
            frameworks: frameworks.values().cloned().collect(),
            removed_tasks: Vec::new(),
            removed_agents: Vec::new(),
            removed_frameworks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
