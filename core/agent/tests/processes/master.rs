//! A master that does what a test says.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};

use futures::Stream;
use karman_agent::{Config, Patience, StartError, Started};
use karman_api::mesos::v1::{
    AgentId, FrameworkId, FrameworkInfo, KillPolicy, TaskId, TaskInfo, TaskState, TaskStatus,
};
use karman_api::session::agent_message::Body as FromAgent;
use karman_api::session::master_message::Body as FromMaster;
use karman_api::session::session_server::{Session, SessionServer};
use karman_api::session::{
    Acknowledge, AgentMessage, Kill, Launch, MasterMessage, Register, Registered, ShutdownFramework,
};
use karman_rt::Tasks;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::support::{PATIENCE, shim};

/// The id of this test's agent: control groups are named after it, and a test
/// must not find those of another.
pub(crate) fn agent() -> &'static str {
    static ID: LazyLock<String> = LazyLock::new(|| format!("A-S{}", std::process::id()));
    &ID
}

pub(crate) const FRAMEWORK: &str = "F-0000";

type Outgoing = mpsc::Sender<Result<MasterMessage, Status>>;

#[derive(Clone)]
struct Fake {
    incoming: mpsc::Sender<FromAgent>,
    outgoing: Arc<Mutex<Option<Outgoing>>>,
}

#[tonic::async_trait]
impl Session for Fake {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<MasterMessage, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let mut stream = request.into_inner();
        let (outgoing, messages) = mpsc::channel(1024);
        *self.outgoing.lock().unwrap() = Some(outgoing);
        let incoming = self.incoming.clone();
        let pump = async move {
            while let Some(Ok(AgentMessage { body: Some(body) })) = stream.next().await {
                if incoming.send(body).await.is_err() {
                    break;
                }
            }
        };
        // The answers end with the questions.
        let pump = futures::stream::once(pump).filter_map(|()| None);
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).merge(pump))))
    }
}

/// The master of one test, and the agent under it.
pub(crate) struct Cluster {
    pub(crate) work_dir: TempDir,
    fake: Fake,
    incoming: mpsc::Receiver<FromAgent>,
    address: SocketAddr,
    _server: Tasks,
    agent: Tasks,
    /// Executors that ended and were not asked for.
    ended: Vec<(String, String, i32)>,
    /// What executors said to their framework.
    messages: Vec<Vec<u8>>,
    pub(crate) http: SocketAddr,
    /// What the agent is configured to have.
    pub(crate) resources: String,
    pub(crate) patience: Patience,
}

impl Cluster {
    pub(crate) async fn start() -> (Self, Register) {
        // As the program's main does; the second in one process is refused.
        let _again = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, incoming) = mpsc::channel(1024);
        let fake = Fake { incoming: sender, outgoing: Arc::default() };
        let server = Tasks::new();
        let service = SessionServer::new(fake.clone());
        server.spawn("master", async move {
            let router = tonic::transport::Server::builder().add_service(service);
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let work_dir = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            work_dir,
            fake,
            incoming,
            address,
            _server: server,
            agent: Tasks::new(),
            ended: Vec::new(),
            messages: Vec::new(),
            http: address,
            resources: "cpus:4;mem:4096;disk:1000;ports:[31000-31099]".into(),
            patience: Patience::default(),
        };
        let register = cluster.start_agent().await;
        (cluster, register)
    }

    /// Starts an agent on the same folder; what it registers with.
    pub(crate) async fn start_agent(&mut self) -> Register {
        let (started, register) = self.try_start(None).await;
        assert_eq!(started.unwrap(), Started { agent_id: Some(agent().into()) });
        register
    }

    /// The same with a refusal that will pass.
    pub(crate) async fn start_awaited(&mut self, answer: FromMaster) {
        let started = self.try_start(Some(answer)).await.0;
        assert_eq!(started.unwrap(), Started { agent_id: None });
    }

    /// The same with another answer to the registration; why it did not start.
    pub(crate) async fn start_refused(&mut self, answer: FromMaster) -> StartError {
        self.try_start(Some(answer)).await.0.unwrap_err()
    }

    async fn try_start(
        &mut self,
        answer: Option<FromMaster>,
    ) -> (Result<Started, StartError>, Register) {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.http = http.local_addr().unwrap();
        let config = Config {
            work_dir: self.work_dir.path().join("agent"),
            hostname: "localhost".into(),
            ip: "127.0.0.1".parse().unwrap(),
            http: http.into(),
            masters: vec![format!("http://{}", self.address)],
            tls: None,
            resources: Some(self.resources.clone()),
            attributes: Some("rack:r1".into()),
            domain: Some("europe/a".parse().unwrap()),
            hidden: Vec::new(),
            shim: shim(),
            executors: self.patience,
            version: "1.2.3",
        };
        self.agent = Tasks::new();
        let tasks = self.agent.clone();
        let registered = self.admit_with(answer);
        tokio::join!(karman_agent::start(config, &tasks), registered)
    }

    /// Answers a registration.
    pub(crate) async fn admit(&mut self) -> Register {
        self.admit_with(None).await
    }

    async fn admit_with(&mut self, answer: Option<FromMaster>) -> Register {
        let register = loop {
            // What was said before the connection broke may come first.
            if let FromAgent::Register(register) = self.next().await {
                break register;
            }
        };
        let registered = || {
            FromMaster::Registered(Registered {
                agent_id: Some(AgentId { value: agent().into() }),
                master_id: "M".into(),
                ping_timeout_ms: 60_000,
            })
        };
        self.say(answer.unwrap_or_else(registered)).await;
        register
    }

    /// Breaks the connection.
    pub(crate) async fn hang_up(&self) {
        let outgoing = self.fake.outgoing.lock().unwrap().take().unwrap();
        outgoing.send(Err(Status::unavailable("the master is gone"))).await.unwrap();
    }

    /// As if its process were killed.
    pub(crate) async fn stop_agent(&mut self) {
        self.agent.shutdown(PATIENCE).await.unwrap();
        while self.incoming.try_recv().is_ok() {}
    }

    async fn next(&mut self) -> FromAgent {
        tokio::time::timeout(PATIENCE, self.incoming.recv())
            .await
            .expect("the agent says something")
            .unwrap()
    }

    pub(crate) async fn say(&self, body: FromMaster) {
        let outgoing = self.fake.outgoing.lock().unwrap().clone().unwrap();
        outgoing.send(Ok(MasterMessage { body: Some(body) })).await.unwrap();
    }

    pub(crate) async fn launch(&self, task: TaskInfo) {
        self.launch_all(vec![task]).await;
    }

    pub(crate) async fn launch_all(&self, tasks: Vec<TaskInfo>) {
        self.say(FromMaster::Launch(Launch {
            framework: Some(framework()),
            executor: None,
            tasks,
        }))
        .await;
    }

    pub(crate) async fn kill(&self, task: &str, grace_ms: i64) {
        let grace_period =
            Some(karman_api::mesos::v1::DurationInfo { nanoseconds: grace_ms * 1_000_000 });
        self.say(FromMaster::Kill(Kill {
            framework_id: Some(FrameworkId { value: FRAMEWORK.into() }),
            task_id: Some(TaskId { value: task.into() }),
            kill_policy: Some(KillPolicy { grace_period }),
        }))
        .await;
    }

    pub(crate) async fn shut_down_framework(&self) {
        let framework_id = Some(FrameworkId { value: FRAMEWORK.into() });
        self.say(FromMaster::ShutdownFramework(ShutdownFramework { framework_id })).await;
    }

    /// The next update, not acknowledged.
    pub(crate) async fn update(&mut self) -> TaskStatus {
        loop {
            let said = self.next().await;
            self.note(&said);
            if let FromAgent::Status(update) = said {
                return update.status.unwrap();
            }
        }
    }

    /// The executor that ended, by framework and name, and its status.
    pub(crate) async fn executor_ended(&mut self) -> (String, String, i32) {
        while self.ended.is_empty() {
            let said = self.next().await;
            self.note(&said);
        }
        self.ended.remove(0)
    }

    /// What an executor says to its framework.
    pub(crate) async fn message(&mut self) -> Vec<u8> {
        while self.messages.is_empty() {
            let said = self.next().await;
            self.note(&said);
        }
        self.messages.remove(0)
    }

    fn note(&mut self, said: &FromAgent) {
        if let FromAgent::ExecutorEnded(ended) = said {
            let framework = ended.framework_id.clone().unwrap().value;
            let name = ended.executor_id.clone().unwrap().value;
            self.ended.push((framework, name, ended.status));
        }
        if let FromAgent::Message(message) = said {
            self.messages.push(message.data.to_vec());
        }
    }

    pub(crate) async fn acknowledge(&self, status: &TaskStatus) {
        self.say(FromMaster::Acknowledge(Acknowledge {
            framework_id: Some(FrameworkId { value: FRAMEWORK.into() }),
            task_id: Some(status.task_id.clone()),
            uuid: status.uuid.clone().unwrap(),
        }))
        .await;
    }

    /// The next update, acknowledged.
    pub(crate) async fn heard(&mut self) -> TaskStatus {
        let status = self.update().await;
        self.acknowledge(&status).await;
        status
    }

    /// Acknowledges until that state is reported.
    pub(crate) async fn until(&mut self, state: TaskState) -> TaskStatus {
        loop {
            let status = self.heard().await;
            if status.state() == state {
                return status;
            }
            assert!(
                matches!(
                    status.state(),
                    TaskState::TaskStarting | TaskState::TaskRunning | TaskState::TaskKilling
                ),
                "{status:?}"
            );
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.http)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The checkpoints of containers.
    pub(crate) fn runs(&self) -> usize {
        let runs = self.work_dir.path().join("agent/meta/slaves").join(agent()).join("runs");
        std::fs::read_dir(runs).unwrap().count()
    }
}

pub(crate) fn framework() -> FrameworkInfo {
    serde_json::from_value(json!({
        "id": {"value": FRAMEWORK}, "user": "root", "name": "test",
        "capabilities": [{"type": "TASK_KILLING_STATE"}, {"type": "PARTITION_AWARE"}],
    }))
    .unwrap()
}

pub(crate) fn task(id: &str, command: &str) -> TaskInfo {
    task_with(id, json!({"value": command}), json!({}))
}

pub(crate) fn task_with(
    id: &str,
    command: serde_json::Value,
    changes: serde_json::Value,
) -> TaskInfo {
    let mut task = json!({
        "name": id, "task_id": {"value": id}, "agent_id": {"value": agent()}, "command": command,
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
    });
    let (serde_json::Value::Object(task_fields), serde_json::Value::Object(changes)) =
        (&mut task, changes)
    else {
        panic!("both are objects")
    };
    task_fields.extend(changes);
    serde_json::from_value(task).unwrap()
}
