//! An instance: one place in a service, filled by one task at a time.
//!
//! What is wanted ([`Goal`]) and what is observed ([`Condition`]) are different
//! fields. The incarnation fences: a task of another incarnation is not ours.
//! This decides what an observation means; what follows is the caller's.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_model::time::Timestamp;

/// What an instance is meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Running,
    /// Ended but kept, with what it holds on its agent.
    Stopped,
    /// Ended and forgotten.
    Decommissioned,
}

/// What is known about its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Waits for an offer; no task exists.
    Scheduled,
    /// The launch is on record and perhaps on its way; nothing was heard yet.
    Provisioned,
    Staging,
    Starting,
    Running,
    Killing,
    Unreachable,
    /// Unreachable for so long that a replacement may run.
    UnreachableInactive,
    Finished,
    Failed,
    Error,
    Killed,
    Gone,
    Dropped,
    Unknown,
}

impl Condition {
    /// The task is over and will not come back.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Failed
                | Self::Error
                | Self::Killed
                | Self::Gone
                | Self::Dropped
                | Self::Unknown
        )
    }

    /// The task may exist somewhere.
    pub const fn is_launched(self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Scheduled)
    }

    /// As events name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Provisioned => "Provisioned",
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Unreachable => "Unreachable",
            Self::UnreachableInactive => "UnreachableInactive",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Killed => "Killed",
            Self::Gone => "Gone",
            Self::Dropped => "Dropped",
            Self::Unknown => "Unknown",
        }
    }

    /// The task state that clients see.
    pub const fn task_state(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Provisioned | Self::Staging => "TASK_STAGING",
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Unreachable | Self::UnreachableInactive => "TASK_UNREACHABLE",
            Self::Finished => "TASK_FINISHED",
            Self::Failed => "TASK_FAILED",
            Self::Error => "TASK_ERROR",
            Self::Killed => "TASK_KILLED",
            Self::Gone => "TASK_GONE",
            Self::Dropped => "TASK_DROPPED",
            Self::Unknown => "TASK_UNKNOWN",
        }
    }
}

/// Where a task was launched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub agent_id: String,
    pub host: String,
    pub region: Option<String>,
    pub zone: Option<String>,
    /// As text; what constraints look at.
    pub attributes: BTreeMap<String, String>,
    pub ports: Vec<u16>,
}

/// What health checks said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub alive: Option<bool>,
    pub consecutive_failures: u32,
    pub first_success: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    pub last_failure: Option<Timestamp>,
    pub cause: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub goal: Goal,
    pub condition: Condition,
    /// Counts the tasks that this instance has had, from 1.
    pub incarnation: u32,
    /// The version of the app that the task runs.
    pub version: Timestamp,
    /// The configuration change that the task runs; tasks of one configuration
    /// do not replace one another.
    pub config: Timestamp,
    pub placement: Option<Placement>,
    /// Since when the condition is what it is.
    pub since: Timestamp,
    pub staged_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub health: Health,
    pub ips: Vec<String>,
    /// When the end of the task was asked for.
    pub killed_at: Option<Timestamp>,
}

/// An observation of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub condition: Condition,
    pub healthy: Option<bool>,
    pub message: String,
    pub ips: Vec<String>,
    /// The task did not end by its own fault: the launch came too late for its
    /// offer.
    pub launch_refused: bool,
}

/// What an observation meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing new.
    Same,
    Changed {
        condition: bool,
        /// The health flipped.
        health: bool,
    },
    Ended(End),
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub condition: Condition,
    /// The next launch has to wait longer.
    pub delays: bool,
    /// To be shown as the last failure of the app.
    pub failure: bool,
    /// The agent killed it because of failed health checks.
    pub unhealthy: bool,
}

impl Instance {
    pub fn scheduled(id: String, now: Timestamp) -> Self {
        Self {
            id,
            goal: Goal::Running,
            condition: Condition::Scheduled,
            incarnation: 1,
            version: Timestamp::default(),
            config: Timestamp::default(),
            placement: None,
            since: now,
            staged_at: None,
            started_at: None,
            health: Health::default(),
            ips: Vec::new(),
            killed_at: None,
        }
    }

    /// The id of its present task.
    pub fn task_id(&self) -> String {
        format!("{}._app.{}", self.id, self.incarnation)
    }

    pub fn host(&self) -> &str {
        self.placement.as_ref().map_or("", |placement| &placement.host)
    }

    /// Puts a launch on record.
    pub fn provision(
        &mut self,
        now: Timestamp,
        placement: Placement,
        version: Timestamp,
        config: Timestamp,
    ) {
        self.condition = Condition::Provisioned;
        self.since = now;
        self.staged_at = Some(now);
        self.started_at = None;
        self.health = Health::default();
        self.ips = Vec::new();
        self.killed_at = None;
        self.placement = Some(placement);
        self.version = version;
        self.config = config;
    }

    /// After the end of its task: waits for the next one, where it should run.
    pub fn reschedule(&mut self, now: Timestamp) {
        let id = std::mem::take(&mut self.id);
        *self =
            Self { incarnation: self.incarnation.saturating_add(1), ..Self::scheduled(id, now) };
    }

    /// Takes in what was heard about its present task.
    pub fn observe(&mut self, now: Timestamp, seen: &Observation) -> Outcome {
        if self.condition == Condition::Scheduled {
            return Outcome::Same;
        }
        if seen.condition.is_terminal() {
            return Outcome::Ended(self.end(now, seen));
        }
        let condition = self.advance(now, seen);
        let health = self.observe_health(now, seen);
        if !seen.ips.is_empty() {
            self.ips.clone_from(&seen.ips);
        }
        if condition || health { Outcome::Changed { condition, health } } else { Outcome::Same }
    }

    fn advance(&mut self, now: Timestamp, seen: &Observation) -> bool {
        let next = match (self.condition, seen.condition) {
            // Whether a replacement runs is decided by time, not by the agent.
            (Condition::UnreachableInactive, Condition::Unreachable) => self.condition,
            (_, next) => next,
        };
        if next == Condition::Running && self.started_at.is_none() {
            self.started_at = Some(now);
        }
        if next == self.condition {
            return false;
        }
        self.condition = next;
        self.since = now;
        true
    }

    fn observe_health(&mut self, now: Timestamp, seen: &Observation) -> bool {
        let Some(alive) = seen.healthy else { return false };
        let flipped = self.health.alive != Some(alive);
        if alive {
            self.health.first_success.get_or_insert(now);
            self.health.last_success = Some(now);
            self.health.consecutive_failures = 0;
        } else {
            self.health.last_failure = Some(now);
            self.health.consecutive_failures += 1;
            self.health.cause = Some(seen.message.clone()).filter(|cause| !cause.is_empty());
        }
        self.health.alive = Some(alive);
        flipped
    }

    fn end(&mut self, now: Timestamp, seen: &Observation) -> End {
        let asked = self.killed_at.is_some() || self.goal != Goal::Running;
        let unhealthy = !asked && seen.healthy == Some(false);
        let never_seen =
            self.condition == Condition::Provisioned && seen.condition == Condition::Unknown;
        let own_fault = match seen.condition {
            Condition::Finished | Condition::Failed | Condition::Error => true,
            Condition::Gone | Condition::Dropped => !seen.launch_refused,
            Condition::Killed => unhealthy,
            _ => false,
        };
        self.condition = seen.condition;
        self.since = now;
        End {
            condition: seen.condition,
            delays: own_fault && !asked,
            failure: !asked
                && !seen.launch_refused
                && !never_seen
                && (own_fault || seen.condition == Condition::Unknown),
            unhealthy,
        }
    }
}

/// Takes a task id apart: the instance and its incarnation.
pub fn parse_task_id(task_id: &str) -> Option<(&str, u32)> {
    let (instance, incarnation) = task_id.rsplit_once("._app.")?;
    Some((instance, incarnation.parse().ok()?))
}

#[cfg(test)]
mod tests;
