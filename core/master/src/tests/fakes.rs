//! A scheduler, an agent and a master on ports of the kernel's choice.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{Call, Event, event::Type};
use karman_api::recordio::Decoder;
use karman_api::session::session_client::SessionClient;
use karman_api::session::{
    AgentMessage, AgentTask, Register, StatusUpdate, agent_message, master_message::Body,
};
use karman_rt::Tasks;
use karman_store::Store;
use karman_store::embedded::Embedded;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::access::Access;
use crate::ledger::Settings;
use crate::{Config, Urls, start};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Master {
    pub(super) url: String,
    pub(super) session: String,
    tasks: Tasks,
}

impl Master {
    pub(super) async fn start(store: &Arc<Embedded>) -> Self {
        Self::with(store, Settings::default(), Access::default()).await
    }

    pub(super) async fn with(store: &Arc<Embedded>, settings: Settings, access: Access) -> Self {
        let (master, start) = Self::prepare(Arc::clone(store) as _, settings, access).await;
        start.await;
        master
    }

    /// A master, and its start: it leads when that is through.
    pub(super) async fn prepare(
        store: Arc<dyn Store>,
        settings: Settings,
        access: Access,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // The process that runs a master installs this in its main function.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let any = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (http, session) = (any().await.unwrap(), any().await.unwrap());
        let url = format!("http://{}", http.local_addr().unwrap());
        let session_url = format!("http://{}", session.local_addr().unwrap());
        let tasks = Tasks::new();
        let config = Config {
            cluster_name: "test".into(),
            hostname: "127.0.0.1".into(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http: http.into(),
            session,
            tls: None,
            urls: Urls { http: url.clone(), session: session_url.clone() },
            store,
            version: "1.2.3",
            access,
            settings,
        };
        let master = Self { url, session: session_url, tasks: tasks.clone() };
        (master, async move { start(config, &tasks).await.unwrap() })
    }

    pub(super) async fn stop(self) {
        self.tasks.shutdown(PATIENCE).await.unwrap();
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let response = client().get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// A call of the operator API in JSON; the status and the answer.
    pub(super) async fn ask(&self, call: Value) -> (u16, Value) {
        let response =
            client().post(format!("{}/api/v1", self.url)).json(&call).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// What GET_OPERATIONS shows once there are so many.
    pub(super) async fn operations(&self, count: usize) -> Vec<Value> {
        let wanted = async {
            loop {
                let (status, answer) = self.ask(json!({"type": "GET_OPERATIONS"})).await;
                assert_eq!(status, 200);
                let all = answer["get_operations"]["operations"].as_array().cloned();
                let all = all.unwrap_or_default();
                if all.len() == count {
                    return all;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.expect("as many operations as wanted")
    }

    /// Reads until the answer is as wanted.
    pub(super) async fn eventually(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let value = self.get(path).await;
            if wanted(&value) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} stays {value:#}");
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

pub(super) struct Scheduler {
    url: String,
    codec: Codec,
    pub(super) id: String,
    pub(super) stream: String,
    response: reqwest::Response,
    decoder: Decoder,
}

impl Scheduler {
    pub(super) async fn subscribe(master: &Master, codec: Codec, info: Value) -> Self {
        let mut all = json!({"user": "u", "name": "n"});
        all.as_object_mut().unwrap().extend(info.as_object().unwrap().clone());
        let call = json!({"type": "SUBSCRIBE", "framework_id": all.get("id"), "subscribe": {"framework_info": all}});
        let call: Call = serde_json::from_value(call).unwrap();
        let url = format!("{}/api/v1/scheduler", master.url);
        let request = client()
            .post(&url)
            .header("Content-Type", codec.media_type())
            .header("Accept", codec.media_type());
        let response = request.body(codec.encode(&call)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let stream = response.headers()["Mesos-Stream-Id"].to_str().unwrap().to_owned();
        let decoder = Decoder::new(1 << 20);
        let mut scheduler = Self { url, codec, id: String::new(), stream, response, decoder };
        let subscribed = scheduler.next(Type::Subscribed).await.subscribed.unwrap();
        scheduler.id = subscribed.framework_id.value;
        scheduler
    }

    /// The next event, which must be of this kind.
    pub(super) async fn next(&mut self, kind: Type) -> Event {
        let event = self.event().await.expect("the stream goes on");
        assert_eq!(event.r#type(), kind, "{event:?}");
        event
    }

    /// `None` when the master has closed the stream.
    pub(super) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(record) = self.decoder.next_record().unwrap() {
                return Some(self.codec.decode(&record).unwrap());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk())
                .await
                .expect("an event in time");
            self.decoder.push(&chunk.ok()??);
        }
    }

    pub(super) async fn offer(&mut self) -> v1::Offer {
        self.next(Type::Offers).await.offers.unwrap().offers.remove(0)
    }

    pub(super) async fn status(&mut self) -> v1::TaskStatus {
        self.next(Type::Update).await.update.unwrap().status
    }

    pub(super) async fn call(&self, call: Value) {
        let mut call: Call = serde_json::from_value(call).unwrap();
        call.framework_id = Some(v1::FrameworkId { value: self.id.clone() });
        self.send(&call).await;
    }

    async fn send(&self, call: &Call) {
        let request = client().post(&self.url).header("Content-Type", self.codec.media_type());
        let request = request.header("Mesos-Stream-Id", &self.stream).body(self.codec.encode(call));
        let response = request.send().await.unwrap();
        let status = response.status();
        assert_eq!(status, 202, "{}", response.text().await.unwrap());
    }

    pub(super) async fn acknowledge(&self, status: &v1::TaskStatus) {
        let mut call: Call = serde_json::from_value(json!({"type": "ACKNOWLEDGE"})).unwrap();
        call.framework_id = Some(v1::FrameworkId { value: self.id.clone() });
        call.acknowledge = Some(v1::scheduler::call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        });
        self.send(&call).await;
    }

    pub(super) async fn launch(&self, offer: &v1::Offer, task: &str) {
        let task = json!({"name": task, "task_id": {"value": task}, "agent_id": offer.agent_id,
            "command": {"value": "true"}, "discovery": {"visibility": "CLUSTER", "name": "web"}, "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
                {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31000}]}}]});
        let operation = json!({"type": "LAUNCH", "launch": {"task_infos": [task]}});
        let accept = json!({"offer_ids": [offer.id], "operations": [operation], "filters": {"refuse_seconds": 3600}});
        self.call(json!({"type": "ACCEPT", "accept": accept})).await;
    }
}

pub(super) struct Agent {
    pub(super) id: String,
    outgoing: mpsc::Sender<AgentMessage>,
    incoming: tonic::Streaming<karman_api::session::MasterMessage>,
}

impl Agent {
    pub(super) async fn register(master: &Master, id: Option<&str>, tasks: Vec<AgentTask>) -> Self {
        let resources =
            karman_model::resource::Resources::parse("cpus:4;mem:1024;ports:[31000-31009]", "*")
                .unwrap();
        let info = v1::AgentInfo {
            hostname: "127.0.0.1".into(),
            port: Some(5051),
            resources: karman_api::convert::resources_to_wire(
                &resources,
                karman_api::convert::Format::Refined,
            ),
            id: id.map(|id| v1::AgentId { value: id.into() }),
            ..Default::default()
        };
        let register = Register {
            agent: Some(info),
            version: "1".into(),
            boot_id: "b".into(),
            tasks,
            frameworks: vec![],
            ..Default::default()
        };
        let mut client = SessionClient::connect(master.session.clone()).await.unwrap();
        let (outgoing, messages) = mpsc::channel(64);
        let first = AgentMessage { body: Some(agent_message::Body::Register(register)) };
        outgoing.send(first).await.unwrap();
        let incoming = client.open(ReceiverStream::new(messages)).await.unwrap().into_inner();
        let mut agent = Self { id: String::new(), outgoing, incoming };
        let Some(Body::Registered(registered)) = agent.told().await else {
            panic!("not registered")
        };
        agent.id = registered.agent_id.unwrap().value;
        agent
    }

    /// `None` when the master has closed the session. What the agent has is left
    /// out: it is said after each registration.
    pub(super) async fn told(&mut self) -> Option<Body> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.incoming.message())
                .await
                .expect("a message in time");
            match message.ok()??.body {
                Some(Body::Resources(_)) => {}
                body => return body,
            }
        }
    }

    pub(super) async fn report(&self, framework: &str, task: &str, state: &str) {
        let status = Some(self.status(task, state));
        let framework_id = Some(v1::FrameworkId { value: framework.into() });
        let update = StatusUpdate { framework_id, status: status.clone(), latest: status };
        self.outgoing
            .send(AgentMessage { body: Some(agent_message::Body::Status(update)) })
            .await
            .unwrap();
    }

    fn status(&self, task: &str, state: &str) -> v1::TaskStatus {
        let status =
            json!({"task_id": {"value": task}, "state": state, "agent_id": {"value": self.id}});
        let mut status: v1::TaskStatus = serde_json::from_value(status).unwrap();
        status.uuid = Some(uuid::Uuid::new_v4().as_bytes().to_vec().into());
        status
    }

    /// What this agent says of a task when it registers again.
    pub(super) fn has(&self, framework: &str, task: v1::TaskInfo, state: &str) -> AgentTask {
        let status = self.status(&task.task_id.value, state);
        AgentTask {
            framework_id: Some(v1::FrameworkId { value: framework.into() }),
            task: Some(Box::new(task)),
            status: Some(Box::new(status)),
            ..Default::default()
        }
    }
}

/// A store in a folder that lives as long as the test.
pub(super) fn store() -> (tempfile::TempDir, Arc<Embedded>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("state")).unwrap();
    (folder, store)
}
