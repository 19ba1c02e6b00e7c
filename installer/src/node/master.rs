//! What a master is asked, from its own machine: who leads, which agents there
//! are, and to empty one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Event, Machine, Tell, state};

const PORT: u16 = 5050;
const CALL_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_secs(1);
/// The answer about a large cluster.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// A drained agent has ended its tasks by then; longer grace is the tasks' own.
const DRAIN_GRACE_SECS: u64 = 60;
const DRAIN_LIMIT: Duration = Duration::from_secs(DRAIN_GRACE_SECS + 30);

/// The agent to empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Agent {
    pub address: IpAddr,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// None where the masters do not know the agent.
    pub agent_id: Option<String>,
    pub empty: bool,
}

/// What a master knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub leader: Option<String>,
    pub agents: BTreeMap<String, bool>,
}

/// Who leads and which agents are connected.
pub(super) fn state(master: IpAddr) -> anyhow::Result<State> {
    let value = Client::new(master)?.get("/slaves")?;
    let mut state = State { leader: Some(value.1), agents: BTreeMap::new() };
    for agent in value.0["slaves"].as_array().into_iter().flatten() {
        let address = address_of(agent).map_or_else(|| "?".to_owned(), |ip| ip.to_string());
        state.agents.insert(address, agent["active"].as_bool().unwrap_or(false));
    }
    Ok(state)
}

/// Drains an agent and gives it up.
pub(super) fn drain(
    machine: &Machine,
    ask: &Agent,
    tell: &mut Tell<'_>,
) -> anyhow::Result<Drained> {
    let record = state::load(machine)?;
    let own = record.identity.context("Karman is not installed here")?.address;
    let client = Client::new(own)?;
    let find = || -> anyhow::Result<Option<Value>> {
        let (value, _) = client.get("/slaves")?;
        let agents = value["slaves"].as_array().cloned().unwrap_or_default();
        Ok(agents.into_iter().find(|agent| address_of(agent) == Some(ask.address)))
    };
    let Some(agent) = find()? else { return Ok(Drained { agent_id: None, empty: true }) };
    let id = agent["id"].as_str().context("the agent has no id")?.to_owned();
    tell(Event::Warning { text: format!("draining {id}") });
    client.call(&json!({ "type": "DRAIN_AGENT", "drain_agent": {
        "agent_id": { "value": id }, "max_grace_period": { "nanoseconds": DRAIN_GRACE_SECS * 1_000_000_000 },
    }}))?;
    let begin = Instant::now();
    let mut empty = false;
    while !empty && begin.elapsed() < DRAIN_LIMIT {
        std::thread::sleep(POLL);
        empty = match find()? {
            None => true,
            Some(agent) => {
                let state = agent.pointer("/drain_info/state").and_then(Value::as_str);
                state.is_some_and(|state| state.eq_ignore_ascii_case("drained"))
            }
        };
    }
    client.call(&json!({
        "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": id } },
    }))?;
    Ok(Drained { agent_id: Some(id), empty })
}

/// `slave(1)@10.0.0.11:5051` is how a master writes where an agent is.
fn address_of(agent: &Value) -> Option<IpAddr> {
    let pid = agent["pid"].as_str()?;
    let socket = pid.rsplit('@').next()?;
    let socket: SocketAddr = socket.parse().ok()?;
    Some(socket.ip())
}

struct Client {
    agent: ureq::Agent,
    master: IpAddr,
    credentials: Option<String>,
}

impl Client {
    fn new(master: IpAddr) -> anyhow::Result<Self> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(CALL_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let text = std::fs::read_to_string("/etc/karman/credentials").unwrap_or_default();
        let credentials = text.split_whitespace().take(2).collect::<Vec<_>>().join(":");
        let credentials = credentials.contains(':').then(|| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
        });
        Ok(Self { agent: config.into(), master, credentials })
    }

    /// The answer, and the address of the master that gave it.
    fn get(&self, path: &str) -> anyhow::Result<(Value, String)> {
        self.ask(path, None)
    }

    fn call(&self, body: &Value) -> anyhow::Result<()> {
        self.ask("/api/v1", Some(body)).map(drop)
    }

    /// Asks our master, and the leader where ours does not lead.
    fn ask(&self, path: &str, body: Option<&Value>) -> anyhow::Result<(Value, String)> {
        let mut host = SocketAddr::new(self.master, PORT).to_string();
        for _ in 0..2 {
            let url = format!("http://{host}{path}");
            let failed = || format!("the master at {host} does not answer");
            let authorization = self.credentials.as_deref().unwrap_or_default();
            let response = match body {
                None => self.agent.get(&url).header("authorization", authorization).call(),
                Some(body) => self
                    .agent
                    .post(&url)
                    .header("authorization", authorization)
                    .header("content-type", "application/json")
                    .header("accept", "application/json")
                    .send(body.to_string()),
            };
            let mut response = response.with_context(failed)?;
            let status = response.status().as_u16();
            if let (307, Some(location)) = (status, response.headers().get("location")) {
                let location = location.to_str().unwrap_or_default();
                let rest = location.trim_start_matches("http:").trim_start_matches("//");
                host = rest.split('/').next().unwrap_or_default().to_owned();
                continue;
            }
            let text = response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string();
            let text = text.with_context(failed)?;
            if !(200..300).contains(&status) {
                bail!("the master at {host} answered {status}: {}", text.trim());
            }
            let value = serde_json::from_str(&text).unwrap_or(Value::Null);
            return Ok((value, host));
        }
        bail!("the masters send each other's callers around: none leads")
    }
}
