//! What the orchestrator keeps in the store, one record per key.
//!
//! | key | record |
//! |---|---|
//! | `/orchestrator/framework` | the framework id |
//! | `/orchestrator/services/<path>` | which version of an app is wanted |
//! | `/orchestrator/specs/<path>@<version>` | one version of an app |
//! | `/orchestrator/instances/<id>` | one launched instance |
//! | `/orchestrator/deployments/<id>` | one running deployment |
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use bytes::Bytes;
use karman_api::marathon::v2::App;
use karman_api::marathon::v2::deployment::Step;
use karman_api::marathon::v2::task::TaskFailure;
use karman_model::time::Timestamp;
use karman_store::Change;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::instance::{Condition, Goal, Health, Instance, Placement};

pub(crate) const PREFIX: &str = "/orchestrator/";
pub(crate) const FRAMEWORK: &str = "/orchestrator/framework";
pub(crate) const SERVICES: &str = "/orchestrator/services";
pub(crate) const SPECS: &str = "/orchestrator/specs";
pub(crate) const INSTANCES: &str = "/orchestrator/instances/";
pub(crate) const DEPLOYMENTS: &str = "/orchestrator/deployments/";

/// Every record says which form it has; only the newest is written. No record
/// may have a field of its own called `version`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Stored<T> {
    V1(T),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Framework {
    pub(crate) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// The version that is wanted; none while the app is being removed.
    pub(crate) wanted: Option<u64>,
    pub(crate) last_failure: Option<TaskFailure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) app: App,
    pub(crate) app_version: u64,
    pub(crate) config: u64,
    pub(crate) scaled: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) app_version: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) current: usize,
    /// By app: its version before and after.
    pub(crate) changes: BTreeMap<String, (Option<u64>, Option<u64>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    app: String,
    goal: StoredGoal,
    condition: StoredCondition,
    incarnation: u32,
    app_version: u64,
    config: u64,
    agent_id: Option<String>,
    host: String,
    region: Option<String>,
    zone: Option<String>,
    attributes: BTreeMap<String, String>,
    ports: Vec<u16>,
    since: u64,
    staged_at: Option<u64>,
    started_at: Option<u64>,
    alive: Option<bool>,
    first_success: Option<u64>,
    ips: Vec<String>,
    killed_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StoredGoal {
    Running,
    Stopped,
    Decommissioned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StoredCondition {
    Scheduled,
    Provisioned,
    Staging,
    Starting,
    Running,
    Killing,
    Unreachable,
    UnreachableInactive,
    /// Seen ending when the record was written; the next reconciliation tells
    /// what follows.
    Over,
}

/// Reads a record.
pub(crate) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, serde_json::Error> {
    let Stored::V1(record) = serde_json::from_slice(value)?;
    Ok(record)
}

/// A change that writes a record.
pub(crate) fn put<T: Serialize>(key: String, record: T) -> Change {
    // Records hold strings, numbers, lists and maps with string keys.
    let value = serde_json::to_vec(&Stored::V1(record)).expect("records always have a JSON form");
    Change::Put { key, value: Bytes::from(value) }
}

pub(crate) fn delete(key: String) -> Change {
    Change::Delete { key }
}

pub(crate) fn service_key(app: &str) -> String {
    format!("{SERVICES}{app}")
}

/// Versions are padded so that keys sort by time.
pub(crate) fn spec_key(app: &str, version: Timestamp) -> String {
    format!("{SPECS}{app}@{:020}", version.as_ms())
}

pub(crate) fn instance_key(id: &str) -> String {
    format!("{INSTANCES}{id}")
}

pub(crate) fn deployment_key(id: &str) -> String {
    format!("{DEPLOYMENTS}{id}")
}

impl InstanceRecord {
    pub(crate) fn new(app: &str, instance: &Instance) -> Self {
        let Instance {
            id: _,
            goal,
            condition,
            incarnation,
            version,
            config,
            placement,
            since,
            staged_at,
            started_at,
            health,
            ips,
            killed_at,
        } = instance.clone();
        // What went wrong lately is heard again with the next check.
        let Health {
            alive,
            consecutive_failures: _,
            first_success,
            last_success: _,
            last_failure: _,
            cause: _,
        } = health;
        let placed = placement.is_some();
        let Placement { agent_id, host, region, zone, attributes, ports } =
            placement.unwrap_or_default();
        Self {
            app: app.to_owned(),
            goal: stored_goal(goal),
            condition: stored_condition(condition),
            incarnation,
            app_version: version.as_ms(),
            config: config.as_ms(),
            agent_id: placed.then_some(agent_id),
            host,
            region,
            zone,
            attributes,
            ports,
            since: since.as_ms(),
            staged_at: staged_at.map(Timestamp::as_ms),
            started_at: started_at.map(Timestamp::as_ms),
            alive,
            first_success: first_success.map(Timestamp::as_ms),
            ips,
            killed_at: killed_at.map(Timestamp::as_ms),
        }
    }

    /// The app and the instance.
    pub(crate) fn restore(self, id: String) -> (String, Instance) {
        let Self {
            app,
            goal,
            condition,
            incarnation,
            app_version,
            config,
            agent_id,
            host,
            region,
            zone,
            attributes,
            ports,
            since,
            staged_at,
            started_at,
            alive,
            first_success,
            ips,
            killed_at,
        } = self;
        let instance = Instance {
            id,
            goal: match goal {
                StoredGoal::Running => Goal::Running,
                StoredGoal::Stopped => Goal::Stopped,
                StoredGoal::Decommissioned => Goal::Decommissioned,
            },
            condition: restored_condition(condition),
            incarnation,
            version: Timestamp(app_version),
            config: Timestamp(config),
            placement: agent_id.map(|agent_id| Placement {
                agent_id,
                host,
                region,
                zone,
                attributes,
                ports,
            }),
            since: Timestamp(since),
            staged_at: staged_at.map(Timestamp),
            started_at: started_at.map(Timestamp),
            health: Health {
                alive,
                first_success: first_success.map(Timestamp),
                ..Health::default()
            },
            ips,
            killed_at: killed_at.map(Timestamp),
        };
        (app, instance)
    }
}

fn stored_goal(goal: Goal) -> StoredGoal {
    match goal {
        Goal::Running => StoredGoal::Running,
        Goal::Stopped => StoredGoal::Stopped,
        Goal::Decommissioned => StoredGoal::Decommissioned,
    }
}

fn stored_condition(condition: Condition) -> StoredCondition {
    match condition {
        Condition::Scheduled => StoredCondition::Scheduled,
        Condition::Provisioned => StoredCondition::Provisioned,
        Condition::Staging => StoredCondition::Staging,
        Condition::Starting => StoredCondition::Starting,
        Condition::Running => StoredCondition::Running,
        Condition::Killing => StoredCondition::Killing,
        Condition::Unreachable => StoredCondition::Unreachable,
        Condition::UnreachableInactive => StoredCondition::UnreachableInactive,
        Condition::Finished
        | Condition::Failed
        | Condition::Error
        | Condition::Killed
        | Condition::Gone
        | Condition::Dropped
        | Condition::Unknown => StoredCondition::Over,
    }
}

fn restored_condition(condition: StoredCondition) -> Condition {
    match condition {
        StoredCondition::Scheduled => Condition::Scheduled,
        StoredCondition::Provisioned | StoredCondition::Over => Condition::Provisioned,
        StoredCondition::Staging => Condition::Staging,
        StoredCondition::Starting => Condition::Starting,
        StoredCondition::Running => Condition::Running,
        StoredCondition::Killing => Condition::Killing,
        StoredCondition::Unreachable => Condition::Unreachable,
        StoredCondition::UnreachableInactive => Condition::UnreachableInactive,
    }
}

#[cfg(test)]
mod tests;
