//! Stored objects, each a versioned JSON document under a key of its own:
//! `/master/agents/<id>`, `/master/gone/<id>`, `/master/frameworks/<id>`,
//! `/master/weights`, `/master/quotas`, `/master/maintenance`. Wire types inside,
//! never model types. Unknown fields of a later release are left out.

use std::net::IpAddr;
use std::num::NonZero;
use std::thread;

use bytes::Bytes;
use karman_api::mesos::v1;
use karman_api::mesos::v1::maintenance::Schedule;
use karman_api::mesos::v1::quota::QuotaConfig;
use karman_model::id::{AgentId, FrameworkId};
use karman_model::time::Timestamp;
use karman_store::{Change, Entry};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StartError;
use crate::ledger::{
    Contents, Drain, Key, Ledger, StoredAgent, StoredFramework, StoredMaintenance, StoredOperation,
};

/// Everything of this role in the store.
pub const PREFIX: &str = "/master/";
const AGENTS: &str = "/master/agents/";
const GONE: &str = "/master/gone/";
const FRAMEWORKS: &str = "/master/frameworks/";
const WEIGHTS: &str = "/master/weights";
const QUOTAS: &str = "/master/quotas";
const MAINTENANCE: &str = "/master/maintenance";

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum AgentObject {
    V1(AgentV1),
}

#[derive(Debug, Serialize, Deserialize)]
struct AgentV1 {
    info: v1::AgentInfo,
    ip: IpAddr,
    agent_version: String,
    registered_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreachable_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deactivated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<DrainV1>,
    /// With reservations and volumes; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<Vec<v1::Resource>>,
    /// Whose outcome is not acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    operations: Vec<OperationV1>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DrainV1 {
    config: v1::DrainConfig,
    drained: bool,
    since_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct OperationV1 {
    framework_id: String,
    info: v1::offer::Operation,
    status: v1::OperationStatus,
}

impl OperationV1 {
    fn read(self) -> StoredOperation {
        let Self { framework_id, info, status } = self;
        StoredOperation { framework: FrameworkId::from(framework_id), info, status }
    }

    fn new(operation: StoredOperation) -> Self {
        let StoredOperation { framework, info, status } = operation;
        Self { framework_id: framework.to_string(), info, status }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum GoneObject {
    V1(GoneV1),
}

#[derive(Debug, Serialize, Deserialize)]
struct GoneV1 {
    since_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum FrameworkObject {
    V1(FrameworkV1),
}

#[derive(Debug, Serialize, Deserialize)]
struct FrameworkV1 {
    /// Absent once the framework was removed; its id stays taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<Box<v1::FrameworkInfo>>,
    registered_ms: u64,
    /// Absent while the framework is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failover_deadline_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum WeightsObject {
    V1 { weights: Vec<v1::WeightInfo> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum QuotasObject {
    V1 { configs: Vec<QuotaConfig> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum MaintenanceObject {
    V1 {
        schedule: Schedule,
        #[serde(default)]
        down: Vec<v1::MachineId>,
    },
}

/// Objects that are worth a thread of their own.
const SHARE_MIN: usize = 2048;

/// Reads all objects; those of other kinds are left alone. A new leader waits for
/// this, so all processors take part where there are many.
pub fn read(entries: &[Entry]) -> Result<Contents, StartError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = entries.len().div_ceil(threads).max(SHARE_MIN);
    if entries.len() <= share {
        return read_share(entries);
    }
    thread::scope(|scope| {
        let readers: Vec<_> =
            entries.chunks(share).map(|share| scope.spawn(|| read_share(share))).collect();
        let mut contents = Contents::default();
        for reader in readers {
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            contents.absorb(read?);
        }
        Ok(contents)
    })
}

fn read_share(entries: &[Entry]) -> Result<Contents, StartError> {
    let mut contents = Contents::default();
    for entry in entries {
        read_entry(entry, &mut contents)?;
    }
    Ok(contents)
}

fn read_entry(entry: &Entry, contents: &mut Contents) -> Result<(), StartError> {
    let Entry { key, .. } = entry;
    if let Some(id) = key.strip_prefix(AGENTS) {
        contents.agents.push(agent(AgentId::from(id), decode(entry)?));
    } else if let Some(id) = key.strip_prefix(GONE) {
        let GoneObject::V1(GoneV1 { since_ms }) = decode(entry)?;
        contents.gone.push((AgentId::from(id), Timestamp(since_ms)));
    } else if let Some(id) = key.strip_prefix(FRAMEWORKS) {
        contents.frameworks.push(framework(FrameworkId::from(id), decode(entry)?));
    } else if key == WEIGHTS {
        let WeightsObject::V1 { weights } = decode(entry)?;
        contents.weights = weights;
    } else if key == QUOTAS {
        let QuotasObject::V1 { configs } = decode(entry)?;
        contents.quotas = configs;
    } else if key == MAINTENANCE {
        let MaintenanceObject::V1 { schedule, down } = decode(entry)?;
        contents.maintenance = StoredMaintenance { schedule, down };
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<T, StartError> {
    serde_json::from_slice(&entry.value)
        .map_err(|source| StartError::Stored { key: entry.key.clone(), source })
}

fn agent(id: AgentId, object: AgentObject) -> StoredAgent {
    let AgentObject::V1(AgentV1 {
        info,
        ip,
        agent_version,
        registered_ms,
        unreachable_ms,
        deactivated,
        drain,
        total,
        operations,
    }) = object;
    let drain = drain.map(|DrainV1 { config, drained, since_ms }| Drain {
        config,
        drained,
        since: Timestamp(since_ms),
    });
    StoredAgent {
        id,
        info,
        ip,
        version: agent_version,
        registered: Timestamp(registered_ms),
        unreachable: unreachable_ms.map(Timestamp),
        deactivated,
        drain,
        total,
        operations: operations.into_iter().map(OperationV1::read).collect(),
    }
}

fn framework(id: FrameworkId, object: FrameworkObject) -> StoredFramework {
    let FrameworkObject::V1(FrameworkV1 { info, registered_ms, failover_deadline_ms }) = object;
    match info {
        None => StoredFramework::Removed { id },
        Some(info) => StoredFramework::Known {
            id,
            info,
            registered: Timestamp(registered_ms),
            deadline: failover_deadline_ms.map(Timestamp),
        },
    }
}

/// The change that stores the present state of an object.
pub fn change(ledger: &Ledger, key: &Key) -> Change {
    let (key, value) = match key {
        Key::Agent(id) => (
            format!("{AGENTS}{id}"),
            ledger.stored_agent(id).map(|agent| encode(&agent_object(agent))),
        ),
        Key::Gone(id) => (
            format!("{GONE}{id}"),
            ledger
                .stored_gone(id)
                .map(|since| encode(&GoneObject::V1(GoneV1 { since_ms: since.as_ms() }))),
        ),
        Key::Framework(id) => (
            format!("{FRAMEWORKS}{id}"),
            ledger.stored_framework(id).map(|it| encode(&framework_object(it))),
        ),
        Key::Weights => {
            let weights = ledger.stored_weights();
            (WEIGHTS.to_owned(), Some(encode(&WeightsObject::V1 { weights })))
        }
        Key::Quotas => {
            let configs = ledger.stored_quotas();
            (QUOTAS.to_owned(), Some(encode(&QuotasObject::V1 { configs })))
        }
        Key::Maintenance => {
            let StoredMaintenance { schedule, down } = ledger.stored_maintenance();
            (MAINTENANCE.to_owned(), Some(encode(&MaintenanceObject::V1 { schedule, down })))
        }
    };
    match value {
        Some(value) => Change::Put { key, value },
        None => Change::Delete { key },
    }
}

fn agent_object(agent: StoredAgent) -> AgentObject {
    let StoredAgent {
        id: _,
        info,
        ip,
        version,
        registered,
        unreachable,
        deactivated,
        drain,
        total,
        operations,
    } = agent;
    let drain = drain.map(|Drain { config, drained, since }| DrainV1 {
        config,
        drained,
        since_ms: since.as_ms(),
    });
    AgentObject::V1(AgentV1 {
        info,
        ip,
        agent_version: version,
        registered_ms: registered.as_ms(),
        unreachable_ms: unreachable.map(Timestamp::as_ms),
        deactivated,
        drain,
        total,
        operations: operations.into_iter().map(OperationV1::new).collect(),
    })
}

fn framework_object(framework: StoredFramework) -> FrameworkObject {
    FrameworkObject::V1(match framework {
        StoredFramework::Removed { id: _ } => {
            FrameworkV1 { info: None, registered_ms: 0, failover_deadline_ms: None }
        }
        StoredFramework::Known { id: _, info, registered, deadline } => FrameworkV1 {
            info: Some(info),
            registered_ms: registered.as_ms(),
            failover_deadline_ms: deadline.map(Timestamp::as_ms),
        },
    })
}

fn encode<T: Serialize>(object: &T) -> Bytes {
    serde_json::to_vec(object).expect("stored objects always have a JSON form").into()
}

#[cfg(test)]
mod tests;
