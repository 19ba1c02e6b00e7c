//! A master for tests: a state machine behind the scheduler API that plays
//! agents as well. What a task does is said by its command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use karman_api::codec::Codec;
use karman_api::mesos::v1::scheduler::call::Type;
use karman_api::mesos::v1::scheduler::{Call, Event, event};
use karman_api::mesos::v1::value::{self, Range, Ranges, Scalar};
use karman_api::mesos::v1::{
    AgentId, FrameworkId, Offer, OfferId, Resource, TaskId, TaskInfo, TaskState, TaskStatus,
    task_status,
};
use karman_api::recordio;
use karman_rt::Tasks;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

const QUEUE: usize = 4096;
const STREAM_ID: &str = "mesos-stream-id";

#[derive(Clone, Debug)]
pub(super) struct Master(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) framework: Option<String>,
    pub(super) user_agent: Option<mpsc::Sender<Bytes>>,
    pub(super) tasks: BTreeMap<String, Running>,
    /// Every task that was ever launched, in order.
    pub(super) launched: Vec<TaskInfo>,
    pub(super) acknowledged: usize,
    pub(super) agents: Vec<(String, f64)>,
    offers: BTreeMap<String, String>,
    pub(super) suppressed: bool,
    /// Launches get lost on their way.
    pub(super) lose_launches: bool,
    next: u64,
    subscriptions: u64,
    frameworks: u64,
    /// How many tasks were healthy and how many there were, after each change.
    pub(super) history: Vec<(usize, usize)>,
    pub(super) kills: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) info: TaskInfo,
    pub(super) state: TaskState,
    pub(super) healthy: Option<bool>,
}

impl Master {
    pub(super) async fn start(tasks: &Tasks) -> (Self, String) {
        let inner = Inner {
            agents: vec![("agent0".into(), 100.0), ("agent1".into(), 100.0)],
            ..Inner::default()
        };
        let master = Self(Arc::new(Mutex::new(inner)));
        let listener = karman_rt::http::bind(([127, 0, 0, 1], 0).into(), "the test").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(master.clone());
        karman_rt::http::serve("fake-master", listener, router, tasks);
        (master, url)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

async fn serve(State(master): State<Master>, request: Request) -> Response {
    let stream_id = request.headers().get(STREAM_ID).map(|id| id.to_str().unwrap().to_owned());
    assert_eq!(request.uri().path(), "/api/v1/scheduler");
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let call: Call = Codec::Protobuf.decode(&body).unwrap();
    let mut inner = master.lock();
    if call.r#type() == Type::Subscribe {
        return inner.subscribe(call);
    }
    if stream_id != Some(inner.subscriptions.to_string()) || inner.user_agent.is_none() {
        return (StatusCode::BAD_REQUEST, "wrong stream").into_response();
    }
    inner.call(call);
    StatusCode::ACCEPTED.into_response()
}

impl Inner {
    fn subscribe(&mut self, call: Call) -> Response {
        let info = call.subscribe.unwrap().framework_info;
        self.frameworks += u64::from(info.id.is_none());
        let id = info.id.map_or_else(|| format!("framework-{}", self.frameworks), |id| id.value);
        self.framework = Some(id.clone());
        self.suppressed = true;
        self.offers.clear();
        self.subscriptions += 1;
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.user_agent = Some(sender);
        let subscribed = event::Subscribed {
            framework_id: FrameworkId { value: id },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        };
        self.send(event::Type::Subscribed, |event| event.subscribed = Some(subscribed));
        let stream = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
        let headers = [
            (header::CONTENT_TYPE, Codec::Protobuf.media_type().to_owned()),
            (http::HeaderName::from_static(STREAM_ID), self.subscriptions.to_string()),
        ];
        (headers, Body::from_stream(stream)).into_response()
    }

    fn call(&mut self, call: Call) {
        match call.r#type() {
            Type::Accept => {
                let accept = call.accept.unwrap();
                let offer = self.offers.remove(&accept.offer_ids[0].value);
                for task in
                    accept.operations.into_iter().flat_map(|one| one.launch.unwrap().task_infos)
                {
                    assert_eq!(
                        offer.as_ref(),
                        Some(&task.agent_id.value),
                        "launched on an offer that is held"
                    );
                    self.launch(task);
                }
                self.offer();
            }
            Type::Decline => {
                for offer in call.decline.unwrap().offer_ids {
                    self.offers.remove(&offer.value);
                }
            }
            Type::Revive => {
                self.suppressed = false;
                self.offer();
            }
            Type::Suppress => self.suppressed = true,
            Type::Kill => self.kill(&call.kill.unwrap().task_id.value),
            Type::Acknowledge => self.acknowledged += 1,
            Type::Reconcile => self.reconcile(
                call.reconcile.unwrap().tasks.into_iter().map(|task| task.task_id.value),
            ),
            other => panic!("{other:?} is not expected"),
        }
    }

    /// `fail` ends at once, `hang` never comes to life, `sick` is not healthy.
    fn launch(&mut self, info: TaskInfo) {
        assert!(!self.tasks.contains_key(&info.task_id.value), "task ids are unique");
        self.launched.push(info.clone());
        if self.lose_launches {
            return;
        }
        let id = info.task_id.value.clone();
        let command = info.command.clone().unwrap().value.unwrap_or_default();
        let checked = info.health_check.is_some();
        self.tasks
            .insert(id.clone(), Running { info, state: TaskState::TaskStaging, healthy: None });
        if command.contains("hang") {
            return;
        }
        if command.contains("fail") {
            return self.end(&id, TaskState::TaskFailed, "Command exited with status 127");
        }
        self.change(&id, TaskState::TaskStarting, None);
        self.change(&id, TaskState::TaskRunning, None);
        if checked {
            self.change(&id, TaskState::TaskRunning, Some(!command.contains("sick")));
        }
    }

    /// As an operator who tears the framework down does.
    pub(super) fn tear_down(&mut self) {
        self.tasks.clear();
        let message = "Framework has been removed".to_owned();
        self.send(event::Type::Error, |event| event.error = Some(event::Error { message }));
        self.user_agent = None;
    }

    pub(super) fn change(&mut self, id: &str, state: TaskState, healthy: Option<bool>) {
        let task = self.tasks.get_mut(id).unwrap();
        (task.state, task.healthy) = (state, healthy);
        self.note();
        self.update(id, state, healthy, "");
    }

    pub(super) fn end(&mut self, id: &str, state: TaskState, message: &str) {
        self.update(id, state, None, message);
        self.tasks.remove(id);
        self.note();
        self.offer();
    }

    fn kill(&mut self, id: &str) {
        self.kills.push(id.to_owned());
        if self.tasks.contains_key(id) {
            self.end(id, TaskState::TaskKilled, "killed");
        } else {
            self.update(id, TaskState::TaskUnknown, None, "");
        }
    }

    fn reconcile(&mut self, ids: impl Iterator<Item = String>) {
        let mut ids: Vec<String> = ids.collect();
        if ids.is_empty() {
            ids = self.tasks.keys().cloned().collect();
        }
        for id in ids {
            let task = self.tasks.get(&id).map(|task| (task.state, task.healthy));
            let (state, healthy) = task.unwrap_or((TaskState::TaskUnknown, None));
            self.update(&id, state, healthy, "");
        }
    }

    fn note(&mut self) {
        let healthy = self.tasks.values().filter(|task| {
            let checked = task.info.health_check.is_some();
            task.state == TaskState::TaskRunning && (!checked || task.healthy == Some(true))
        });
        self.history.push((healthy.count(), self.tasks.len()));
    }

    pub(super) fn update(
        &mut self,
        id: &str,
        state: TaskState,
        healthy: Option<bool>,
        message: &str,
    ) {
        self.next += 1;
        let agent = self
            .tasks
            .get(id)
            .map_or_else(|| "agent0".to_owned(), |task| task.info.agent_id.value.clone());
        let status = TaskStatus {
            task_id: TaskId { value: id.into() },
            state: state.into(),
            message: Some(message.into()),
            source: Some(task_status::Source::Executor.into()),
            agent_id: Some(AgentId { value: agent }),
            uuid: Some(Bytes::from(self.next.to_be_bytes().repeat(2))),
            healthy,
            ..TaskStatus::default()
        };
        self.send(event::Type::Update, |event| event.update = Some(event::Update { status }));
    }

    /// Offers what is free on every agent without an open offer.
    pub(super) fn offer(&mut self) {
        if self.suppressed {
            return;
        }
        let mut offers = Vec::new();
        for (agent, cpus) in self.agents.clone() {
            if self.offers.values().any(|open| *open == agent) {
                continue;
            }
            self.next += 1;
            let id = format!("offer-{}", self.next);
            self.offers.insert(id.clone(), agent.clone());
            offers.push(self.offer_of(id, &agent, cpus));
        }
        self.send(event::Type::Offers, |event| event.offers = Some(event::Offers { offers }));
    }

    fn offer_of(&self, id: String, agent: &str, cpus: f64) -> Offer {
        let used = self.tasks.values().filter(|task| task.info.agent_id.value == agent).count();
        let scalar = |name: &str, value: f64| Resource {
            name: name.into(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(Scalar { value }),
            ..Resource::default()
        };
        let ports = Resource {
            name: "ports".into(),
            r#type: value::Type::Ranges.into(),
            ranges: Some(Ranges { range: vec![Range { begin: 31_000, end: 32_000 }] }),
            ..Resource::default()
        };
        Offer {
            id: OfferId { value: id },
            framework_id: FrameworkId { value: self.framework.clone().unwrap() },
            agent_id: AgentId { value: agent.into() },
            hostname: format!("{agent}.example"),
            resources: vec![
                scalar("cpus", cpus - used as f64),
                scalar("mem", 1e6),
                scalar("disk", 1e6),
                ports,
            ],
            ..Offer::default()
        }
    }

    fn send(&mut self, kind: event::Type, fill: impl FnOnce(&mut Event)) {
        let mut event = Event { r#type: Some(kind.into()), ..Event::default() };
        fill(&mut event);
        let record = recordio::encode(&Codec::Protobuf.encode(&event));
        let gone = self.user_agent.as_ref().is_none_or(|stream| stream.try_send(record).is_err());
        if gone {
            self.user_agent = None;
        }
    }
}
