//! A framework as the tests play it: the Mesos v1 scheduler API in JSON, close
//! enough to the wire to be wrong on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use karman_api::recordio;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::Answer;

/// How long an event may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The largest event that the tests expect.
const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A subscribed framework.
#[derive(Debug)]
pub struct Scheduler {
    /// `{"value": …}`
    pub id: Value,
    pub stream: String,
    url: String,
    http: reqwest::Client,
    response: reqwest::Response,
    decoder: recordio::Decoder,
    events: VecDeque<Value>,
    /// OFFERS that came while something else was awaited: it still has them.
    offers: VecDeque<Value>,
}

/// A client without a deadline, because streams do not end.
fn http() -> reqwest::Client {
    // A second test in this process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("an HTTP client")
}

/// The description of a framework in a role of its own name.
pub fn framework(name: &str) -> Value {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    json!({
        "user": user, "name": name, "roles": [name],
        "capabilities": [{ "type": "MULTI_ROLE" }, { "type": "PARTITION_AWARE" }],
    })
}

/// A task that needs next to nothing.
pub fn task(id: &str, agent: &Value, command: &str) -> Value {
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": agent,
        "command": { "value": command },
        "resources": [scalar("cpus", 0.1), scalar("mem", 16.0)],
    })
}

pub fn scalar(name: &str, value: impl Into<Value>) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value.into() } })
}

impl Scheduler {
    /// Subscribes under a role of its own name; `greedy` ones want offers at once.
    ///
    /// # Panics
    /// When the master does not let it in.
    pub async fn subscribe(master: &str, name: &str, greedy: bool) -> Self {
        let suppressed: &[&str] = if greedy { &[] } else { &[name] };
        Self::subscribe_as(master, &framework(name), suppressed).await
    }

    /// Subscribes as the framework of this description, anew or again.
    ///
    /// # Panics
    /// When the master does not let it in.
    pub async fn subscribe_as(master: &str, info: &Value, suppressed: &[&str]) -> Self {
        let subscribe = json!({ "framework_info": info, "suppressed_roles": suppressed });
        let mut call = json!({ "type": "SUBSCRIBE", "subscribe": subscribe });
        if !info["id"].is_null() {
            call["framework_id"] = info["id"].clone();
        }
        let (http, url) = (http(), format!("{master}/api/v1/scheduler"));
        let response = http
            .post(&url)
            .header("Content-Type", "application/json")
            .body(call.to_string())
            .send()
            .await
            .expect("the master answers");
        assert_eq!(response.status(), 200);
        let stream = response.headers()["Mesos-Stream-Id"].to_str().expect("text").to_owned();
        let decoder = recordio::Decoder::new(RECORD_BYTES_MAX);
        let (events, offers) = (VecDeque::new(), VecDeque::new());
        let mut scheduler =
            Self { id: Value::Null, stream, url, http, response, decoder, events, offers };
        scheduler.id = scheduler.next("SUBSCRIBED").await["subscribed"]["framework_id"].clone();
        scheduler
    }

    /// The next event of a type; others are passed over, but for offers: whoever
    /// asks for those gets them then, unless they were taken back.
    ///
    /// # Panics
    /// When it does not come in time, or the stream ends or brings an error.
    pub async fn next(&mut self, kind: &str) -> Value {
        if kind == "OFFERS"
            && let Some(kept) = self.offers.pop_front()
        {
            return kept;
        }
        let wanted = async {
            loop {
                let event = self.event().await.expect("the stream goes on");
                if event["type"] == "RESCIND" {
                    self.forget(&event["rescind"]["offer_id"]);
                }
                if event["type"] == kind {
                    return event;
                }
                assert_ne!(event["type"], "ERROR", "{event}");
                if event["type"] == "OFFERS" {
                    self.offers.push_back(event);
                }
            }
        };
        tokio::time::timeout(LIMIT, wanted)
            .await
            .unwrap_or_else(|_| panic!("no {kind} within {LIMIT:?}"))
    }

    fn forget(&mut self, rescinded: &Value) {
        let is_left = |event: &mut Value| {
            let offers = event["offers"]["offers"].as_array_mut().expect("a list");
            offers.retain(|offer| offer["id"] != *rescinded);
            !offers.is_empty()
        };
        self.offers.retain_mut(is_left);
    }

    /// The next event, or `None` at the end of the stream. Nothing is lost when
    /// nobody waits for it any more.
    pub async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.decoder.push(&chunk);
            while let Some(record) = self.decoder.next_record().expect("the stream is RecordIO") {
                self.events.push_back(serde_json::from_slice(&record).expect("events are JSON"));
            }
        }
    }

    /// A call with the parts that all have in common.
    pub async fn call(&self, kind: &str, mut call: Value) -> Answer {
        call["type"] = json!(kind);
        call["framework_id"] = self.id.clone();
        self.post(&call.to_string(), Some(&self.stream)).await
    }

    /// Any body at all.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, body: &str, stream: Option<&str>) -> Answer {
        let mut request =
            self.http.post(&self.url).header("Content-Type", "application/json").timeout(LIMIT);
        if let Some(stream) = stream {
            request = request.header("Mesos-Stream-Id", stream);
        }
        let answer = request.body(body.to_owned()).send().await.expect("the master answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Accepts an offer with a LAUNCH; what is left comes back at once.
    pub async fn launch(&self, offer: &Value, tasks: &[Value]) -> Answer {
        let accept = json!({
            "offer_ids": [offer["id"]],
            "operations": [{ "type": "LAUNCH", "launch": { "task_infos": tasks } }],
            "filters": { "refuse_seconds": 0 },
        });
        self.call("ACCEPT", json!({ "accept": accept })).await
    }

    /// The next offer of those that came; the others are given back.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn offer(&mut self) -> Value {
        let event = self.next("OFFERS").await;
        let offers = event["offers"]["offers"].as_array().expect("a list").clone();
        for other in offers.iter().skip(1) {
            let decline = json!({ "offer_ids": [other["id"]], "filters": { "refuse_seconds": 0 } });
            self.call("DECLINE", json!({ "decline": decline })).await.expect(202);
        }
        offers.into_iter().next().expect("an offer")
    }

    /// The state of each task once all have ended, and the message with it;
    /// acknowledges what wants it.
    ///
    /// # Panics
    /// When they do not end in time.
    pub async fn ended(&mut self, tasks: usize) -> BTreeMap<String, (String, String)> {
        let mut ended = BTreeMap::new();
        while ended.len() < tasks {
            let update = self.next("UPDATE").await;
            let status = &update["update"]["status"];
            self.acknowledge(status).await;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let state = text(&status["state"]);
            if !matches!(state.as_str(), "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING") {
                ended.insert(text(&status["task_id"]["value"]), (state, text(&status["message"])));
            }
        }
        ended
    }

    /// Waits until a task is in a state, and acknowledges what comes before.
    ///
    /// # Panics
    /// When it does not get there in time.
    pub async fn reached(&mut self, task: &str, state: &str) {
        loop {
            let update = self.next("UPDATE").await;
            let status = &update["update"]["status"];
            self.acknowledge(status).await;
            if status["task_id"]["value"] == task && status["state"] == state {
                return;
            }
        }
    }

    /// As the status asks for; those that the master made itself do not.
    ///
    /// # Panics
    /// When the master does not take it.
    pub async fn acknowledge(&self, status: &Value) {
        if status["uuid"].is_null() {
            return;
        }
        let acknowledge = json!({
            "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"],
        });
        self.call("ACKNOWLEDGE", json!({ "acknowledge": acknowledge })).await.expect(202);
    }

    /// Takes an offer and runs a task on it to its successful end.
    ///
    /// # Panics
    /// When that does not work.
    pub async fn works(&mut self, id: &str) {
        let offer = self.offer().await;
        self.launch(&offer, &[task(id, &offer["agent_id"], "true")]).await.expect(202);
        let ended = self.ended(1).await;
        assert_eq!(ended[id].0, "TASK_FINISHED", "{ended:?}");
    }

    /// Leaves the only agent to others until it is revived.
    ///
    /// # Panics
    /// When no offer comes, which it would have to give back.
    pub async fn rest(&mut self) {
        let offer = self.offer().await;
        self.call("SUPPRESS", json!({})).await.expect(202);
        let decline = json!({ "offer_ids": [offer["id"]], "filters": { "refuse_seconds": 0 } });
        self.call("DECLINE", json!({ "decline": decline })).await.expect(202);
    }
}

/// What the kernel may keep for a framework that reads nothing.
const UNREAD_BYTES: u32 = 64 * 1024;
/// More than the head of the answer to a SUBSCRIBE and its first event.
const FIRST_BYTES_MAX: usize = 16 * 1024;

/// A framework that keeps its connection and reads nothing from it.
#[derive(Debug)]
pub struct Unread {
    /// Asks after many tasks that nobody knows; each is an event.
    call: String,
    stream: String,
    url: String,
    http: reqwest::Client,
    _connection: TcpStream,
}

impl Unread {
    /// Subscribes and stops to read; will ask after so many tasks at a time.
    ///
    /// # Panics
    /// When the master does not let it in.
    pub async fn subscribe(master: &str, name: &str, tasks: usize) -> Self {
        let address: SocketAddr =
            master.trim_start_matches("http://").parse().expect("an address of IPv4");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(UNREAD_BYTES).expect("buffers have a size");
        let mut connection = socket.connect(address).await.expect("the master accepts");
        let subscribe = json!({ "framework_info": framework(name), "suppressed_roles": [name] });
        let call = json!({ "type": "SUBSCRIBE", "subscribe": subscribe }).to_string();
        let request = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{call}",
            call.len()
        );
        connection.write_all(request.as_bytes()).await.expect("the master takes it");
        let mut answer = vec![0; FIRST_BYTES_MAX];
        let mut read = 0;
        let (stream, id) = loop {
            let more = connection.read(&mut answer[read..]).await.expect("the master answers");
            assert_ne!(more, 0, "{}", String::from_utf8_lossy(&answer));
            read += more;
            let text = String::from_utf8_lossy(&answer[..read]).into_owned();
            let stream = between(&text, "mesos-stream-id: ", "\r\n");
            let id = between(&text, r#""framework_id":{"value":""#, "\"");
            if let Some(both) = stream.zip(id) {
                break both;
            }
        };
        let tasks: Vec<Value> = (0..tasks)
            .map(|index| json!({ "task_id": { "value": format!("unheard-of-{index}") } }))
            .collect();
        let call = json!({
            "type": "RECONCILE", "framework_id": { "value": id }, "reconcile": { "tasks": tasks },
        });
        let (call, url) = (call.to_string(), format!("{master}/api/v1/scheduler"));
        Self { call, stream, url, http: http(), _connection: connection }
    }

    /// Asks again.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self) -> u16 {
        let request = self.http.post(&self.url).timeout(LIMIT);
        let request = request.header("Content-Type", "application/json");
        let request = request.header("Mesos-Stream-Id", &self.stream).body(self.call.clone());
        request.send().await.expect("the master answers").status().as_u16()
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (value, _) = rest.split_once(after)?;
    Some(value.to_owned())
}
