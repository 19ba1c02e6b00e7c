//! The operators' event stream.

use karman_api::codec::Codec;
use karman_api::mesos::v1::master::{Event, event::Type};
use karman_api::recordio::Decoder;
use serde_json::json;

use super::fakes::{Agent, Master, Scheduler, client, store};

struct Operator {
    codec: Codec,
    response: reqwest::Response,
    decoder: Decoder,
}

impl Operator {
    async fn subscribe(master: &Master, codec: Codec) -> Self {
        let request = client().post(format!("{}/api/v1", master.url));
        let request = request.header("Accept", codec.media_type());
        let response = request.json(&json!({"type": "SUBSCRIBE"})).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["Content-Type"], codec.media_type());
        Self { codec, response, decoder: Decoder::new(1 << 24) }
    }

    async fn next(&mut self, kind: Type) -> Event {
        loop {
            if let Some(record) = self.decoder.next_record().unwrap() {
                let event: Event = self.codec.decode(&record).unwrap();
                // Come at any time on a slow machine.
                if event.r#type() == Type::Heartbeat && kind != Type::Heartbeat {
                    continue;
                }
                assert_eq!(event.r#type(), kind, "{event:?}");
                return event;
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
            self.decoder.push(&chunk);
        }
    }
}

async fn everything_is_told(codec: Codec) {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut early = Operator::subscribe(&master, codec).await;
    let subscribed = early.next(Type::Subscribed).await.subscribed.unwrap();
    assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
    assert!(subscribed.get_state.unwrap().get_agents.unwrap().agents.is_empty());
    early.next(Type::Heartbeat).await;

    let mut agent = Agent::register(&master, None, vec![]).await;
    let added = early.next(Type::AgentAdded).await.agent_added.unwrap().agent;
    assert_eq!(added.agent_info.id.unwrap().value, agent.id);
    let info = json!({"failover_timeout": 60});
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, info).await;
    let added = early.next(Type::FrameworkAdded).await.framework_added.unwrap().framework;
    assert!(added.active && added.connected);
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "t1").await;
    agent.told().await;
    let task = early.next(Type::TaskAdded).await.task_added.unwrap().task;
    assert_eq!((task.task_id.value.as_str(), task.state().as_str_name()), ("t1", "TASK_STAGING"));

    let mut late = Operator::subscribe(&master, codec).await;
    let state = late.next(Type::Subscribed).await.subscribed.unwrap().get_state.unwrap();
    assert_eq!(state.get_tasks.unwrap().tasks.len(), 1);
    late.next(Type::Heartbeat).await;
    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    let status = scheduler.status().await;
    scheduler.acknowledge(&status).await;
    for operator in [&mut early, &mut late] {
        let updated = operator.next(Type::TaskUpdated).await.task_updated.unwrap();
        assert_eq!(updated.framework_id.value, scheduler.id);
        assert_eq!(updated.state().as_str_name(), "TASK_RUNNING");
        assert_eq!(updated.status.task_id.value, "t1");
    }
    // Nothing new: not told.
    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    scheduler.status().await;
    agent.report(&scheduler.id, "t1", "TASK_FINISHED").await;
    for operator in [&mut early, &mut late] {
        let updated = operator.next(Type::TaskUpdated).await.task_updated.unwrap();
        assert_eq!(updated.state().as_str_name(), "TASK_FINISHED");
    }
    let metrics = master.get("/metrics/snapshot").await;
    assert_eq!(metrics["master/operator_event_stream_subscribers"], 2.0);

    drop(late);
    let id = scheduler.id.clone();
    drop(scheduler);
    let updated = early.next(Type::FrameworkUpdated).await.framework_updated.unwrap().framework;
    assert!(!updated.active && !updated.connected);
    let teardown = json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": id}}});
    assert_eq!(master.ask(teardown).await.0, 200);
    let removed = early.next(Type::FrameworkRemoved).await.framework_removed.unwrap();
    assert_eq!(removed.framework_info.id.unwrap().value, id);
    master.stop().await;
}

#[tokio::test]
async fn everything_is_told_in_json() {
    everything_is_told(Codec::Json).await;
}

#[tokio::test]
async fn everything_is_told_in_protobuf() {
    everything_is_told(Codec::Protobuf).await;
}

#[tokio::test]
async fn a_reader_that_sleeps_disturbs_nobody() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    // Never read from again.
    let _sleeping = Operator::subscribe(&master, Codec::Json).await;
    let mut awake = Operator::subscribe(&master, Codec::Json).await;
    awake.next(Type::Subscribed).await;
    awake.next(Type::Heartbeat).await;
    let large = "x".repeat(200 << 10);
    for number in 0..8 {
        let name = format!("{number}{large}");
        let scheduler = Scheduler::subscribe(&master, Codec::Json, json!({"name": name})).await;
        let added = awake.next(Type::FrameworkAdded).await.framework_added.unwrap();
        assert_eq!(added.framework.framework_info.name, name);
        drop(scheduler);
        awake.next(Type::FrameworkRemoved).await;
    }
    master.stop().await;
}
