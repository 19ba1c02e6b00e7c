//! The life of one executor that a framework brings along: its process is
//! started, it subscribes, it is given tasks, it ends. What it is not proved to
//! have heard is said again when it comes back. Pure.
#![deny(clippy::disallowed_methods)]

mod environment;
mod process;
mod rules;
mod words;

pub use environment::{Surroundings, environment};
pub use process::{as_task, grace_ms, is_custom};
pub use rules::{Invalid, check};
pub use words::{Effect, Event, Patience, Say};

use std::collections::{BTreeMap, BTreeSet};

use karman_api::mesos::v1::task_status::Reason;

/// How long an executor that came too late for its only tasks may take to end.
const UNUSED_GRACE_MS: u64 = 5_000;

/// What is true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its files are fetched; its command was not executed yet.
    Preparing,
    /// It runs and has never subscribed.
    Registering,
    Subscribed,
    /// It runs and its connection is gone.
    Disconnected,
    /// Nothing of it is left.
    Ended,
}

/// Why it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// By its framework, an operator, or because there is nothing left to do.
    Asked,
    NotRegistered,
    NotReregistered,
}

/// One task as far as its executor is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Duty {
    /// Tasks are handed over in this order.
    turn: u64,
    /// Of tasks that are handed over together.
    group: Option<u64>,
    /// Was written to a connection.
    sent: bool,
    /// The executor has shown that it knows of it.
    heard: bool,
    /// It is to end; within what grace period, if somebody said.
    kill: Option<Option<u64>>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    patience: Patience,
    phase: Phase,
    tasks: BTreeMap<String, Duty>,
    turns: u64,
    /// It was given a task once.
    used: bool,
    /// When it has been silent for too long.
    deadline_ms: Option<u64>,
    ending: Option<Cause>,
    /// The shortest that was asked for.
    grace_ms: Option<u64>,
}

impl Executor {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            phase: Phase::Preparing,
            tasks: BTreeMap::new(),
            turns: 0,
            used: false,
            deadline_ms: None,
            ending: None,
            grace_ms: None,
        }
    }

    /// As an earlier process of the agent left it: whether it runs, whether it had
    /// subscribed, whether it had been told to end.
    pub fn restored(
        patience: Patience,
        now_ms: u64,
        (runs, subscribed, ending): (bool, bool, bool),
    ) -> Self {
        let mut executor = Self::new(patience);
        executor.ending = ending.then_some(Cause::Asked);
        executor.used = subscribed;
        if runs {
            executor.phase = if subscribed { Phase::Disconnected } else { Phase::Registering };
            executor.wait(now_ms);
        }
        executor
    }

    /// A task that was handed over, or was about to be, before a restart.
    pub fn adopt(&mut self, task: String, group: Option<u64>, heard: bool) {
        let duty = Duty { turn: self.turns, group, sent: heard, heard, kill: None };
        self.turns = self.turns.max(group.unwrap_or(0)) + 1;
        self.used |= heard;
        self.tasks.insert(task, duty);
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it takes tasks.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Ended && self.ending.is_none()
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether the task waits to be handed over.
    pub fn is_queued(&self, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|duty| !duty.sent)
    }

    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// Why its tasks end with it, and whether somebody wanted that.
    pub fn end(&self) -> (Reason, String, bool) {
        let Patience { registration_ms, reregistration_ms } = self.patience;
        match self.ending {
            None => (Reason::ExecutorTerminated, "The executor ended".into(), false),
            Some(Cause::Asked) => {
                (Reason::ExecutorTerminated, "The executor was shut down".into(), true)
            }
            Some(Cause::NotRegistered) => (
                Reason::ExecutorRegistrationTimeout,
                format!("The executor did not subscribe within {}", seconds(registration_ms)),
                false,
            ),
            Some(Cause::NotReregistered) => (
                Reason::ExecutorReregistrationTimeout,
                format!(
                    "The executor did not subscribe again within {}",
                    seconds(reregistration_ms)
                ),
                false,
            ),
        }
    }

    pub fn apply(&mut self, now_ms: u64, event: Event) -> Vec<Effect> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        match event {
            Event::Started => {
                if self.phase == Phase::Preparing {
                    self.phase = Phase::Registering;
                    self.wait(now_ms);
                }
                Vec::new()
            }
            Event::Launch { tasks, group } => self.launch(tasks, group),
            Event::Subscribed { heard } => self.subscribed(&heard),
            Event::HungUp => {
                if self.phase == Phase::Subscribed {
                    self.phase = Phase::Disconnected;
                    self.wait(now_ms);
                }
                Vec::new()
            }
            Event::Kill { task, grace_ms } => self.kill(&task, grace_ms),
            Event::Told { task, over } => self.told(&task, over),
            Event::Shutdown { grace_ms } => self.shut_down(Cause::Asked, grace_ms),
            Event::Tick => self.look(now_ms),
            Event::Ended => {
                self.phase = Phase::Ended;
                self.deadline_ms = None;
                Vec::new()
            }
        }
    }

    fn wait(&mut self, now_ms: u64) {
        let limit = match self.phase {
            Phase::Registering => self.patience.registration_ms,
            Phase::Disconnected => self.patience.reregistration_ms,
            Phase::Preparing | Phase::Subscribed | Phase::Ended => return,
        };
        self.deadline_ms = Some(now_ms.saturating_add(limit));
    }

    fn launch(&mut self, tasks: Vec<String>, group: bool) -> Vec<Effect> {
        let number = group.then_some(self.turns);
        for task in tasks {
            let duty =
                Duty { turn: self.turns, group: number, sent: false, heard: false, kill: None };
            self.turns += 1;
            self.tasks.insert(task, duty);
        }
        self.hand_over()
    }

    /// Says what was not said over this connection.
    fn hand_over(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Subscribed || self.ending.is_some() {
            return Vec::new();
        }
        let mut waiting: Vec<(u64, Option<u64>, String)> = Vec::new();
        for (task, duty) in self.tasks.iter_mut().filter(|(_, duty)| !duty.sent) {
            duty.sent = true;
            waiting.push((duty.turn, duty.group, task.clone()));
        }
        self.used |= !waiting.is_empty();
        waiting.sort();
        let mut says: Vec<(Option<u64>, Vec<String>)> = Vec::new();
        for (_, group, task) in waiting {
            match says.last_mut().filter(|(last, _)| group.is_some() && *last == group) {
                Some((_, tasks)) => tasks.push(task),
                None => says.push((group, vec![task])),
            }
        }
        let say = |(group, mut tasks): (Option<u64>, Vec<String>)| match group {
            Some(_) => Say::LaunchGroup(tasks),
            None => Say::Launch(tasks.pop().unwrap_or_default()),
        };
        says.into_iter().map(say).map(Effect::Say).collect()
    }

    /// What it does not know of it has not heard, and hears again.
    fn subscribed(&mut self, heard: &BTreeSet<String>) -> Vec<Effect> {
        self.phase = Phase::Subscribed;
        self.deadline_ms = None;
        let groups: BTreeSet<u64> =
            heard.iter().filter_map(|task| self.tasks.get(task)?.group).collect();
        for (task, duty) in &mut self.tasks {
            // A group is handed over whole.
            duty.heard |=
                heard.contains(task) || duty.group.is_some_and(|group| groups.contains(&group));
            duty.sent = duty.heard;
        }
        if self.ending.is_some() {
            return vec![Effect::Say(Say::Shutdown)];
        }
        let killed: Vec<(String, bool, Option<u64>)> = self
            .tasks
            .iter()
            .filter_map(|(task, duty)| Some((task.clone(), duty.heard, duty.kill?)))
            .collect();
        let mut effects = Vec::new();
        for (task, heard, grace_ms) in killed {
            if heard {
                effects.push(Effect::Say(Say::Kill { task, grace_ms }));
            } else if self.tasks.contains_key(&task) {
                effects.extend(self.spare(&task));
            }
        }
        effects.extend(self.hand_over());
        effects.extend(self.retire_unused());
        effects
    }

    fn kill(&mut self, task: &str, grace_ms: Option<u64>) -> Vec<Effect> {
        let Some(duty) = self.tasks.get_mut(task) else { return Vec::new() };
        if !duty.sent {
            let mut effects = self.spare(task);
            effects.extend(self.retire_unused());
            return effects;
        }
        duty.kill = Some(grace_ms);
        match self.phase {
            Phase::Subscribed => {
                vec![Effect::Say(Say::Kill { task: task.to_owned(), grace_ms })]
            }
            Phase::Preparing | Phase::Registering | Phase::Disconnected | Phase::Ended => {
                Vec::new()
            }
        }
    }

    /// Takes back a task that was never handed over, with its group.
    fn spare(&mut self, task: &str) -> Vec<Effect> {
        let group = self.tasks.get(task).and_then(|duty| duty.group);
        let with = |(name, duty): &(&String, &Duty)| {
            name.as_str() == task || (group.is_some() && duty.group == group)
        };
        let spared: Vec<String> =
            self.tasks.iter().filter(with).map(|(name, _)| name.clone()).collect();
        self.tasks.retain(|name, _| !spared.contains(name));
        spared.into_iter().map(|task| Effect::Spare { task }).collect()
    }

    /// Nobody will give it tasks any more: who launches another sends the executor
    /// along.
    fn retire_unused(&mut self) -> Vec<Effect> {
        if self.used || !self.tasks.is_empty() {
            return Vec::new();
        }
        self.shut_down(Cause::Asked, UNUSED_GRACE_MS)
    }

    fn told(&mut self, task: &str, over: bool) -> Vec<Effect> {
        if over {
            self.tasks.remove(task);
        } else if let Some(duty) = self.tasks.get_mut(task) {
            (duty.sent, duty.heard) = (true, true);
        }
        Vec::new()
    }

    /// The first cause counts; a later order can only shorten the wait.
    fn shut_down(&mut self, cause: Cause, grace_ms: u64) -> Vec<Effect> {
        let first = self.ending.is_none();
        self.ending.get_or_insert(cause);
        if self.grace_ms.is_some_and(|earlier| earlier <= grace_ms) {
            return Vec::new();
        }
        self.grace_ms = Some(grace_ms);
        let hears = self.phase == Phase::Subscribed;
        let mut effects = Vec::new();
        if hears && first {
            effects.push(Effect::Say(Say::Shutdown));
        }
        effects.push(Effect::End { grace_ms, quiet: hears });
        effects
    }

    fn look(&mut self, now_ms: u64) -> Vec<Effect> {
        if self.deadline_ms.is_none_or(|deadline| now_ms < deadline) {
            return Vec::new();
        }
        self.deadline_ms = None;
        let cause = match self.phase {
            Phase::Registering => Cause::NotRegistered,
            Phase::Disconnected => Cause::NotReregistered,
            Phase::Preparing | Phase::Subscribed | Phase::Ended => return Vec::new(),
        };
        // Nothing is known of it but that it does not answer.
        self.shut_down(cause, 0)
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests;
