//! Executors that frameworks bring along. Their processes do nothing here: the
//! tests speak for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use karman_agent::Patience;
use karman_api::codec::Codec;
use karman_api::mesos::v1::executor::event::Type;
use karman_api::mesos::v1::executor::{Call, Event};
use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{ExecutorId, FrameworkId, TaskInfo, TaskState, TaskStatus};
use karman_api::recordio::Decoder;
use karman_api::session::master_message::Body as FromMaster;
use karman_api::session::{ExecutorMessage, Launch, ShutdownExecutor};
use serde_json::{Value, json};

use crate::master::{Cluster, FRAMEWORK, agent, framework, task_with};
use crate::support::{PATIENCE, eventually, eventually_async, runs};

/// Ends by nothing but a signal, and says first what it was given.
const COMMAND: &str = "env > environment; exec sleep 1000";

fn info(command: &str) -> Value {
    json!({
        "type": "CUSTOM", "executor_id": {"value": "own"}, "framework_id": {"value": FRAMEWORK},
        "command": {"value": command}, "name": "my own",
        "shutdown_grace_period": {"nanoseconds": 100_000_000},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
    })
}

fn task(id: &str, command: &str) -> TaskInfo {
    let mut task = task_with(id, Value::Null, json!({"executor": info(command)}));
    task.command = None;
    task
}

/// The test in the place of the executor.
struct Own {
    response: reqwest::Response,
    decoder: Decoder,
    url: String,
    codec: Codec,
}

async fn post(url: &str, call: &Value) -> (u16, String) {
    let request = reqwest::Client::new().post(url).json(call);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn call(kind: &str, rest: Value) -> Value {
    let mut call = json!({
        "type": kind, "framework_id": {"value": FRAMEWORK}, "executor_id": {"value": "own"},
    });
    if let (Value::Object(call), Value::Object(rest)) = (&mut call, rest) {
        call.extend(rest);
    }
    call
}

fn update(task: &str, state: &str, uuid: u8) -> Value {
    json!({"status": {
        "task_id": {"value": task}, "state": state, "source": "SOURCE_EXECUTOR",
        "uuid": STANDARD.encode([uuid; 16]), "message": "so I say",
    }})
}

impl Own {
    fn url(cluster: &Cluster) -> String {
        format!("http://{}/api/v1/executor", cluster.http)
    }

    /// Subscribes, and hears that it has.
    async fn subscribe(cluster: &Cluster, codec: Codec, tasks: Value, updates: Value) -> Self {
        let url = Self::url(cluster);
        let subscribe = call(
            "SUBSCRIBE",
            json!({"subscribe": {
                "unacknowledged_tasks": tasks, "unacknowledged_updates": updates,
            }}),
        );
        let body: Call = serde_json::from_value(subscribe).unwrap();
        let subscribe = || {
            let request = reqwest::Client::new()
                .post(&url)
                .header("content-type", codec.media_type())
                .header("accept", codec.media_type())
                .body(codec.encode(&body));
            async move {
                let response = request.send().await.unwrap();
                if response.status() == 200 { Ok(response) } else { Err(response.status()) }
            }
        };
        // It may come before its launch was heard of.
        let response = eventually_async(subscribe).await;
        assert_eq!(response.headers()["content-type"], codec.media_type());
        let mut own = Self { response, decoder: Decoder::new(1 << 20), url, codec };
        let subscribed = own.hear(Type::Subscribed).await.subscribed.unwrap();
        assert_eq!(subscribed.executor_info.executor_id.value, "own");
        assert_eq!(subscribed.framework_info.id.unwrap().value, FRAMEWORK);
        assert_eq!(subscribed.agent_info.id.unwrap().value, agent());
        own
    }

    async fn new(cluster: &Cluster) -> Self {
        Self::subscribe(cluster, Codec::Json, json!([]), json!([])).await
    }

    /// The next event, which is of that type.
    async fn hear(&mut self, kind: Type) -> Event {
        loop {
            if let Some(record) = self.decoder.next_record().unwrap() {
                let event: Event = self.codec.decode(&record).unwrap();
                assert_eq!(event.r#type(), kind, "{event:?}");
                return event;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("no {kind:?}")).unwrap();
            self.decoder.push(&chunk.expect("the stream goes on"));
        }
    }

    async fn launched(&mut self) -> String {
        self.hear(Type::Launch).await.launch.unwrap().task.task_id.value
    }

    /// Says so and hears that it was heard.
    async fn tell(&mut self, task: &str, state: &str, uuid: u8) {
        let update = call("UPDATE", json!({"update": update(task, state, uuid)}));
        assert_eq!(post(&self.url, &update).await, (202, String::new()));
        let heard = self.hear(Type::Acknowledged).await.acknowledged.unwrap();
        assert_eq!((heard.task_id.value.as_str(), &*heard.uuid), (task, [uuid; 16].as_slice()));
    }
}

fn sandbox(cluster: &Cluster) -> PathBuf {
    cluster
        .work_dir
        .path()
        .join(format!("agent/slaves/{}/frameworks/{FRAMEWORK}/executors/own/runs/latest", agent()))
}

async fn pid_of_executor(cluster: &Cluster) -> u32 {
    eventually_async(|| async {
        let found = cluster.json("/containers").await;
        let pid = found[0]["status"]["executor_pid"].as_u64();
        pid.and_then(|pid| u32::try_from(pid).ok()).ok_or(found)
    })
    .await
}

fn shut_down() -> FromMaster {
    FromMaster::ShutdownExecutor(ShutdownExecutor {
        framework_id: Some(FrameworkId { value: FRAMEWORK.into() }),
        executor_id: Some(ExecutorId { value: "own".into() }),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_runs_tasks_and_ends_when_told() {
    let (mut cluster, register) = Cluster::start().await;
    assert_eq!(register.executors, []);
    cluster.launch(task("a", COMMAND)).await;
    let mut own = Own::new(&cluster).await;
    assert_eq!(own.launched().await, "a");
    own.tell("a", "TASK_RUNNING", 1).await;
    let running: TaskStatus = cluster.until(TaskState::TaskRunning).await;
    assert_eq!(running.message(), "so I say");
    assert_eq!(running.executor_id.unwrap().value, "own");
    assert_eq!(running.agent_id.unwrap().value, agent());
    let container = running.container_status.unwrap().container_id.unwrap();
    assert_eq!(container.parent, None);

    let message = ExecutorMessage {
        framework_id: Some(FrameworkId { value: FRAMEWORK.into() }),
        executor_id: Some(ExecutorId { value: "own".into() }),
        data: b"hello".to_vec().into(),
    };
    cluster.say(FromMaster::Message(message)).await;
    assert_eq!(&*own.hear(Type::Message).await.message.unwrap().data, b"hello");
    let data = json!({"message": {"data": STANDARD.encode("hello yourself")}});
    assert_eq!(post(&own.url, &call("MESSAGE", data)).await.0, 202);
    assert_eq!(cluster.message().await, b"hello yourself");

    // Another task of the same executor costs no other one.
    cluster.launch(task("b", COMMAND)).await;
    assert_eq!(own.launched().await, "b");
    own.tell("b", "TASK_RUNNING", 2).await;
    cluster.until(TaskState::TaskRunning).await;
    let state = cluster.json("/state").await;
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!((&executor["type"], &executor["name"]), (&json!("CUSTOM"), &json!("my own")));
    assert_eq!(executor["container"], container.value);
    assert_eq!(executor["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(executor["resources"]["mem"], 96.0);
    let containers = cluster.json("/containers").await;
    assert_eq!(containers.as_array().unwrap().len(), 1, "{containers}");
    assert_eq!(containers[0]["container_id"], container.value);

    cluster.kill("a", 5).await;
    let killed = own.hear(Type::Kill).await.kill.unwrap();
    assert_eq!(killed.task_id.value, "a");
    assert_eq!(killed.kill_policy.unwrap().grace_period.unwrap().nanoseconds, 5_000_000);
    own.tell("a", "TASK_KILLED", 3).await;
    cluster.until(TaskState::TaskKilled).await;
    own.tell("b", "TASK_FINISHED", 4).await;
    cluster.until(TaskState::TaskFinished).await;

    // It stays for other tasks.
    let pid = pid_of_executor(&cluster).await;
    let idle = cluster.json("/state").await;
    assert_eq!(idle["frameworks"][0]["executors"][0]["id"], "own", "{idle}");
    cluster.say(shut_down()).await;
    own.hear(Type::Shutdown).await;
    assert_eq!(cluster.executor_ended().await, (FRAMEWORK.into(), "own".into(), 9));
    eventually(|| if runs(pid) { Err(pid) } else { Ok(()) });
    let left = cluster.json("/containers").await;
    assert_eq!(left, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_environment_is_that_of_an_executor() {
    let (cluster, _) = Cluster::start().await;
    cluster.launch(task("a", COMMAND)).await;
    let path = sandbox(&cluster).join("environment");
    let text = eventually(|| match fs::read_to_string(&path) {
        Ok(text) if text.contains("PATH=") => Ok(text),
        other => Err(other),
    });
    let found: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    let endpoint = cluster.http.to_string();
    for (name, value) in [
        ("MESOS_FRAMEWORK_ID", FRAMEWORK),
        ("MESOS_EXECUTOR_ID", "own"),
        ("MESOS_SLAVE_ID", agent()),
        ("MESOS_AGENT_ENDPOINT", &endpoint),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "100ms"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
        ("LIBPROCESS_PORT", "0"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    assert_eq!(found.get("MESOS_TASK_ID"), None);
    // Who shows a token shows the right one.
    let token = found["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"];
    let subscribe = call("SUBSCRIBE", json!({"subscribe": {}}));
    for (token, status) in [(token, 200), ("another", 403)] {
        let request = reqwest::Client::new().post(Own::url(&cluster)).json(&subscribe);
        let response = request.bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    cluster.shut_down_framework().await;
    eventually(|| match fs::read_dir(sandbox(&cluster).join("../../../..")) {
        Ok(_) if cluster.runs() == 0 => Ok(()),
        other => Err(other),
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_survives_the_agent_and_tells_what_it_was_not_heard_to_say() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("told", COMMAND)).await;
    let mut own = Own::subscribe(&cluster, Codec::Protobuf, json!([]), json!([])).await;
    assert_eq!(own.launched().await, "told");
    own.tell("told", "TASK_RUNNING", 1).await;
    cluster.until(TaskState::TaskRunning).await;
    cluster.launch(task("lost", COMMAND)).await;
    assert_eq!(own.launched().await, "lost");
    cluster.launch(task("known", COMMAND)).await;
    assert_eq!(own.launched().await, "known");
    let pid = pid_of_executor(&cluster).await;
    cluster.stop_agent().await;
    drop(own);

    let register = cluster.start_agent().await;
    assert_eq!(register.tasks.len(), 3);
    assert_eq!(register.executors.len(), 1);
    assert!(runs(pid));
    // Meanwhile one ended; of another it has never heard.
    let known =
        json!([{"name": "known", "task_id": {"value": "known"}, "agent_id": {"value": "A"}}]);
    let updates = json!([update("told", "TASK_RUNNING", 1), update("told", "TASK_FINISHED", 2)]);
    let mut own = Own::subscribe(&cluster, Codec::Json, known, updates).await;
    for uuid in [1, 2] {
        let heard = own.hear(Type::Acknowledged).await.acknowledged.unwrap();
        assert_eq!(&*heard.uuid, [uuid; 16].as_slice());
    }
    assert_eq!(own.launched().await, "lost");
    // What it said before is not said again.
    let finished = cluster.heard().await;
    assert_eq!((finished.state(), &*finished.task_id.value), (TaskState::TaskFinished, "told"));

    cluster.say(shut_down()).await;
    own.hear(Type::Shutdown).await;
    for _ in 0..2 {
        let killed = cluster.heard().await;
        assert_eq!(killed.state(), TaskState::TaskKilled);
        assert_eq!(killed.reason(), Reason::ExecutorTerminated);
    }
    assert_eq!(cluster.executor_ended().await.2, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_tasks_end_with_it_by_its_true_status() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("a", "while [ ! -e go ]; do sleep 0.02; done; exit 3")).await;
    let mut own = Own::new(&cluster).await;
    assert_eq!(own.launched().await, "a");
    own.tell("a", "TASK_RUNNING", 1).await;
    cluster.until(TaskState::TaskRunning).await;
    fs::write(sandbox(&cluster).join("go"), "").unwrap();
    let failed = cluster.heard().await;
    assert_eq!(
        (failed.state(), failed.reason(), failed.message()),
        (
            TaskState::TaskFailed,
            Reason::ExecutorTerminated,
            "The executor ended: Command exited with status 3"
        )
    );
    assert_eq!(cluster.executor_ended().await, (FRAMEWORK.into(), "own".into(), 3 << 8));

    // And those of one that cannot be started.
    let mut impossible = task("b", "true");
    let command = impossible.executor.as_mut().unwrap().command.as_mut().unwrap();
    (command.shell, command.value) = (Some(false), Some("/nonexistent".into()));
    cluster.launch(impossible).await;
    let failed = cluster.heard().await;
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert!(failed.message().contains("/nonexistent"), "{failed:?}");
    assert_eq!(cluster.executor_ended().await.2, -1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_speak_is_ended() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.stop_agent().await;
    cluster.patience = Patience { registration_ms: 50, reregistration_ms: 50 };
    cluster.start_agent().await;
    cluster.launch(task("a", COMMAND)).await;
    let failed = cluster.heard().await;
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ExecutorRegistrationTimeout);
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });

    cluster.patience.registration_ms = 60_000;
    cluster.stop_agent().await;
    cluster.start_agent().await;
    cluster.launch(task("b", COMMAND)).await;
    let mut own = Own::new(&cluster).await;
    assert_eq!(own.launched().await, "b");
    own.tell("b", "TASK_RUNNING", 1).await;
    cluster.until(TaskState::TaskRunning).await;
    drop(own);
    let failed = cluster.heard().await;
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ExecutorReregistrationTimeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_handed_over_whole() {
    let (mut cluster, _) = Cluster::start().await;
    let executor = Some(serde_json::from_value(info(COMMAND)).unwrap());
    let tasks = ["x", "y"].map(|id| task_with(id, json!({"value": "true"}), json!({}))).to_vec();
    cluster.say(FromMaster::Launch(Launch { framework: Some(framework()), executor, tasks })).await;
    let mut own = Own::new(&cluster).await;
    let group = own.hear(Type::LaunchGroup).await.launch_group.unwrap().task_group;
    let names: Vec<String> = group.tasks.into_iter().map(|task| task.task_id.value).collect();
    assert_eq!(names, ["x", "y"]);
    // What becomes of the others is the executor's business.
    own.tell("x", "TASK_FAILED", 1).await;
    cluster.until(TaskState::TaskFailed).await;
    own.tell("y", "TASK_RUNNING", 2).await;
    cluster.until(TaskState::TaskRunning).await;
    cluster.say(shut_down()).await;
    assert_eq!(cluster.heard().await.state(), TaskState::TaskKilled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_killed_before_it_was_handed_over_never_is() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("a", COMMAND)).await;
    cluster.kill("a", 0).await;
    let killed = cluster.heard().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    assert_eq!(killed.reason(), Reason::TaskKilledDuringLaunch);
    // An executor without anything to do goes.
    cluster.executor_ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_make_no_sense_are_refused() {
    let (mut cluster, _) = Cluster::start().await;
    let url = Own::url(&cluster);
    let message = || json!({"message": {"data": ""}});
    let stranger = post(&url, &call("MESSAGE", message())).await;
    assert_eq!((stranger.0, stranger.1.trim()), (400, "Framework cannot be found"));
    assert_eq!(post(&url, &call("HEARTBEAT", json!({}))).await.0, 202);
    cluster.launch(task("a", COMMAND)).await;
    let early = || async {
        let answer = post(&url, &call("MESSAGE", message())).await;
        if answer.0 == 403 { Ok(answer.1) } else { Err(answer) }
    };
    assert_eq!(eventually_async(early).await.trim(), "Executor is not subscribed");
    let mut own = Own::new(&cluster).await;
    assert_eq!(own.launched().await, "a");
    let said = |change: fn(&mut Value)| {
        let mut update = update("a", "TASK_RUNNING", 1);
        change(&mut update["status"]);
        call("UPDATE", json!({"update": update}))
    };
    let none: fn(&mut Value) = |_| {};
    for (wrong, part) in [
        (call("UPDATE", json!({})), "'update'"),
        (said(|it| it["uuid"] = Value::Null), "'uuid'"),
        (said(|it| it["uuid"] = json!("AAAA")), "16 bytes"),
        (said(|it| it["source"] = json!("SOURCE_AGENT")), "SOURCE_EXECUTOR"),
        (said(|it| it["state"] = json!("TASK_STAGING")), "TASK_STAGING"),
        (said(|it| it["executor_id"] = json!({"value": "other"})), "'other'"),
        (json!({"type": "MESSAGE"}), "executor_id"),
    ] {
        let (status, text) = post(&url, &wrong).await;
        assert!(status == 400 && text.contains(part), "{status} {text} for {wrong}");
    }
    let plain = reqwest::Client::new().post(&url).header("content-type", "text/plain");
    assert_eq!(plain.send().await.unwrap().status(), 415);
    // A task of nobody is acknowledged, so that it is not said for ever.
    own.tell("nobody", "TASK_RUNNING", 7).await;
    assert_eq!(post(&url, &said(none)).await.0, 202);
    cluster.until(TaskState::TaskRunning).await;
    cluster.shut_down_framework().await;
    own.hear(Type::Acknowledged).await;
    own.hear(Type::Kill).await;
    own.hear(Type::Shutdown).await;
}
