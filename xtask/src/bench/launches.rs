//! How fast tasks can be launched by a scheduler that speaks the Mesos v1 API
//! itself: from the first ACCEPT until every task is TASK_FINISHED.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::http::{Client, Stream};
use crate::karmand::Karmand;

const LIMIT: Duration = Duration::from_secs(180);
/// Acknowledgements are sent by several, as a busy scheduler does it.
const ACKNOWLEDGERS: usize = 4;
const EVENTS_MAX: usize = 16;
const ACKNOWLEDGEMENTS_MAX: usize = 10_000;
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
const CPUS: f64 = 0.001;
const MEM_MIB: f64 = 1.0;

/// Tasks per second.
pub(crate) fn per_s(datacenter: &Karmand, number: usize) -> Result<f64> {
    let mut scheduler = Scheduler::subscribe(datacenter.address("master")?)?;
    let rate = scheduler.launch(number);
    // The framework goes, whether that worked or not.
    scheduler.call("TEARDOWN", json!({}))?;
    rate
}

struct Scheduler {
    client: Client,
    url: String,
    stream_id: String,
    framework: Value,
    events: Receiver<Value>,
    acknowledge: SyncSender<Value>,
}

impl Scheduler {
    fn subscribe(master: &str) -> Result<Self> {
        let client = Client::new();
        let url = format!("{master}/api/v1/scheduler");
        let info = json!({ "user": user(), "name": "bench", "roles": ["*"], "capabilities": [{ "type": "MULTI_ROLE" }] });
        let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
        let stream = client.stream(&url, "application/json", Some(&call))?;
        let stream_id = stream.id.clone();
        let events = read(stream);
        let first =
            events.recv_timeout(LIMIT).context("the master did not answer the subscription")?;
        let framework = first["subscribed"]["framework_id"].clone();
        if framework.is_null() {
            bail!("the master answered the subscription with {first}");
        }
        let acknowledge = acknowledgers(&client, &url, &stream_id);
        Ok(Self { client, url, stream_id, framework, events, acknowledge })
    }

    fn call(&self, kind: &str, mut members: Value) -> Result<()> {
        members["type"] = json!(kind);
        members["framework_id"] = self.framework.clone();
        self.client.post(&self.url, &[("Mesos-Stream-Id", &self.stream_id)], &members)?;
        Ok(())
    }

    fn launch(&mut self, number: usize) -> Result<f64> {
        let subscribed = Instant::now();
        let mut started = None;
        let mut launched = 0;
        let mut states: BTreeMap<String, String> = BTreeMap::new();
        let mut finished = 0;
        while finished < number {
            // Heartbeats keep coming even where nothing else does.
            let left = LIMIT.saturating_sub(subscribed.elapsed());
            let event = self.events.recv_timeout(left).with_context(|| {
                format!("{finished} of {number} tasks were finished after {} s", LIMIT.as_secs())
            })?;
            match event["type"].as_str() {
                Some("OFFERS") => {
                    started.get_or_insert_with(Instant::now);
                    for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
                        launched += self.accept(offer, launched, number)?;
                    }
                }
                Some("UPDATE") => {
                    let status = event["update"]["status"].clone();
                    let id = status["task_id"]["value"].as_str().unwrap_or_default().to_owned();
                    let state = status["state"].as_str().unwrap_or_default().to_owned();
                    finished += self.note(&mut states, id, state, &status)?;
                }
                Some("ERROR") => {
                    bail!("the master refused the scheduler: {}", event["error"]["message"])
                }
                _ => {}
            }
        }
        let took = started.context("no offer arrived")?.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "a thousand tasks")]
        let rate = number as f64 / took.as_secs_f64();
        Ok(rate)
    }

    /// Launches as many of the missing tasks as an offer has room for.
    fn accept(&self, offer: &Value, launched: usize, number: usize) -> Result<usize> {
        let room = room(offer).min(number - launched);
        if room == 0 {
            self.call("DECLINE", json!({ "decline": { "offer_ids": [offer["id"]] } }))?;
            return Ok(0);
        }
        let tasks: Vec<Value> =
            (launched..launched + room).map(|index| task(index, &offer["agent_id"])).collect();
        let operation = json!({ "type": "LAUNCH", "launch": { "task_infos": tasks } });
        self.call(
            "ACCEPT",
            json!({ "accept": { "offer_ids": [offer["id"]], "operations": [operation] } }),
        )?;
        Ok(room)
    }

    /// Counts a task that is finished for the first time; refuses any other end.
    fn note(
        &self,
        states: &mut BTreeMap<String, String>,
        id: String,
        state: String,
        status: &Value,
    ) -> Result<usize> {
        if !status["uuid"].is_null() {
            let acknowledge = json!({
                "type": "ACKNOWLEDGE", "framework_id": self.framework,
                "acknowledge": { "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"] },
            });
            self.acknowledge.send(acknowledge).context("the acknowledgers have ended")?;
        }
        let known = matches!(
            state.as_str(),
            "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_FINISHED"
        );
        if !known {
            bail!("{id} ended as {state}: {}", status["message"]);
        }
        let finished = state == "TASK_FINISHED";
        let before = states.insert(id, state);
        Ok(usize::from(finished && before.as_deref() != Some("TASK_FINISHED")))
    }
}

/// Tasks run as whoever runs this: others need root.
fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.map_or_else(|| "root".to_owned(), |user| user.name)
}

fn room(offer: &Value) -> usize {
    let amount = |name: &str| -> f64 {
        let resources = offer["resources"].as_array().into_iter().flatten();
        resources
            .filter(|resource| resource["name"] == name)
            .filter_map(|resource| resource["scalar"]["value"].as_f64())
            .sum()
    };
    // Half a task of slack against rounding.
    let fits = ((amount("cpus") / CPUS).min(amount("mem") / MEM_MIB) - 0.5).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most some millions, not negative"
    )]
    let fits = fits.round() as usize;
    fits
}

fn task(index: usize, agent: &Value) -> Value {
    json!({
        "name": "tiny", "task_id": { "value": format!("tiny-{index}") }, "agent_id": agent,
        "command": { "shell": true, "value": "true" },
        "resources": [
            { "name": "cpus", "type": "SCALAR", "scalar": { "value": CPUS } },
            { "name": "mem", "type": "SCALAR", "scalar": { "value": MEM_MIB } },
        ],
    })
}

/// Reads events until the stream ends.
fn read(mut stream: Stream) -> Receiver<Value> {
    let (send, receive) = sync_channel(EVENTS_MAX);
    thread::spawn(move || {
        while let Ok(record) = record(&mut stream.lines) {
            let event = serde_json::from_slice(&record).unwrap_or_default();
            if send.send(event).is_err() {
                return;
            }
        }
    });
    receive
}

/// One record: its length, a newline, its bytes.
fn record(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut line = String::new();
    from.by_ref().take(32).read_line(&mut line)?;
    let length: usize = line.trim().parse().context("a record begins with its length")?;
    if length > RECORD_BYTES_MAX {
        bail!("a record of {length} bytes");
    }
    let mut record = vec![0; length];
    from.read_exact(&mut record)?;
    Ok(record)
}

fn acknowledgers(client: &Client, url: &str, stream_id: &str) -> SyncSender<Value> {
    let (send, receive) = sync_channel::<Value>(ACKNOWLEDGEMENTS_MAX);
    let receive = Arc::new(Mutex::new(receive));
    for _ in 0..ACKNOWLEDGERS {
        let (client, url, stream_id, receive) =
            (client.clone(), url.to_owned(), stream_id.to_owned(), receive.clone());
        thread::spawn(move || {
            loop {
                let next = receive.lock().ok().and_then(|receive| receive.recv().ok());
                let Some(call) = next else { return };
                // A lost acknowledgement is asked for again by the next update.
                drop(client.post(&url, &[("Mesos-Stream-Id", &stream_id)], &call));
            }
        });
    }
    send
}
