//! Stored objects: `/master/agents/<id>` and `/master/frameworks/<id>`, each a
//! versioned JSON document. Wire types inside, never model types.

use std::net::IpAddr;

use bytes::Bytes;
use karman_api::mesos::v1;
use karman_model::id::{AgentId, FrameworkId};
use karman_model::time::Timestamp;
use karman_store::{Change, Entry};
use serde::{Deserialize, Serialize};

use crate::StartError;
use crate::ledger::{Key, Ledger, StoredAgent, StoredFramework};

/// Everything of this role in the store.
pub const PREFIX: &str = "/master/";
const AGENTS: &str = "/master/agents/";
const FRAMEWORKS: &str = "/master/frameworks/";

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

/// What is in the store.
#[derive(Debug, Default)]
pub struct Contents {
    pub agents: Vec<StoredAgent>,
    pub frameworks: Vec<StoredFramework>,
}

/// Reads all objects; those of other kinds are left alone.
pub fn read(entries: &[Entry]) -> Result<Contents, StartError> {
    let mut contents = Contents::default();
    for Entry { key, value, .. } in entries {
        let unreadable = |source| StartError::Stored { key: key.clone(), source };
        if let Some(id) = key.strip_prefix(AGENTS) {
            let AgentObject::V1(AgentV1 { info, ip, agent_version, registered_ms, unreachable_ms }) =
                serde_json::from_slice(value).map_err(unreadable)?;
            contents.agents.push(StoredAgent {
                id: AgentId::from(id),
                info,
                ip,
                version: agent_version,
                registered: Timestamp(registered_ms),
                unreachable: unreachable_ms.map(Timestamp),
            });
        } else if let Some(id) = key.strip_prefix(FRAMEWORKS) {
            let FrameworkObject::V1(FrameworkV1 { info, registered_ms, failover_deadline_ms }) =
                serde_json::from_slice(value).map_err(unreadable)?;
            let id = FrameworkId::from(id);
            contents.frameworks.push(match info {
                None => StoredFramework::Removed { id },
                Some(info) => StoredFramework::Known {
                    id,
                    info,
                    registered: Timestamp(registered_ms),
                    deadline: failover_deadline_ms.map(Timestamp),
                },
            });
        }
    }
    Ok(contents)
}

/// The change that stores the present state of an object.
pub fn change(ledger: &Ledger, key: &Key) -> Change {
    let (key, value) = match key {
        Key::Agent(id) => (
            format!("{AGENTS}{id}"),
            ledger.stored_agent(id).map(|agent| encode(&agent_object(agent))),
        ),
        Key::Framework(id) => (
            format!("{FRAMEWORKS}{id}"),
            ledger.stored_framework(id).map(|it| encode(&framework_object(it))),
        ),
    };
    match value {
        Some(value) => Change::Put { key, value },
        None => Change::Delete { key },
    }
}

fn agent_object(agent: StoredAgent) -> AgentObject {
    let StoredAgent { id: _, info, ip, version, registered, unreachable } = agent;
    AgentObject::V1(AgentV1 {
        info,
        ip,
        agent_version: version,
        registered_ms: registered.as_ms(),
        unreachable_ms: unreachable.map(Timestamp::as_ms),
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
