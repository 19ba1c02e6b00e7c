//! Containers inside of others, through the operator API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use karman_api::mesos::v1::TaskState;
use karman_api::recordio::{self, Decoder};
use serde_json::{Value, json};

use crate::master::{Cluster, task};
use crate::support::{PATIENCE, eventually_async, runs};

/// A task that runs, and its container.
async fn running(cluster: &mut Cluster) -> Value {
    cluster.launch(task("t", "exec sleep 1000")).await;
    let status = cluster.until(TaskState::TaskRunning).await;
    serde_json::to_value(status.container_status.unwrap().container_id.unwrap()).unwrap()
}

fn inside(parent: &Value, name: &str) -> Value {
    json!({"value": name, "parent": parent})
}

fn url(cluster: &Cluster) -> String {
    format!("http://{}/api/v1", cluster.http)
}

async fn call(cluster: &Cluster, call: Value) -> (u16, String) {
    let response = reqwest::Client::new().post(url(cluster)).json(&call).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn session(cluster: &Cluster, id: &Value, command: Value, more: Value) -> reqwest::Response {
    let mut wanted = json!({"container_id": id, "command": command});
    if let (Value::Object(wanted), Value::Object(more)) = (&mut wanted, more) {
        wanted.extend(more);
    }
    let call = json!({
        "type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": wanted,
    });
    // As the client of the original says it.
    let request = reqwest::Client::new()
        .post(url(cluster))
        .header("accept", "application/json")
        .header("accept", "application/recordio")
        .header("message-accept", "application/json")
        .json(&call);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
    assert_eq!(response.headers()["content-type"], "application/recordio");
    assert_eq!(response.headers()["message-content-type"], "application/json");
    response
}

/// What a container writes.
struct Output {
    response: reqwest::Response,
    decoder: Decoder,
    stdout: String,
    stderr: String,
}

impl Output {
    fn new(response: reqwest::Response) -> Self {
        let (stdout, stderr) = (String::new(), String::new());
        Self { response, decoder: Decoder::new(1 << 20), stdout, stderr }
    }

    /// False at the end.
    async fn more(&mut self) -> bool {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
        let seen = format!("{} {}", self.stdout, self.stderr);
        let Some(chunk) = chunk.unwrap_or_else(|_| panic!("nothing after {seen}")).unwrap() else {
            return false;
        };
        self.decoder.push(&chunk);
        while let Some(record) = self.decoder.next_record().unwrap() {
            let message: Value = serde_json::from_slice(&record).unwrap();
            let bytes = STANDARD.decode(message["data"]["data"].as_str().unwrap()).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            match message["data"]["type"].as_str().unwrap() {
                "STDOUT" => self.stdout.push_str(&text),
                "STDERR" => self.stderr.push_str(&text),
                other => panic!("{other}"),
            }
        }
        true
    }

    async fn until(&mut self, text: &str) {
        while !self.stdout.contains(text) {
            assert!(self.more().await, "no '{text}' in '{}'", self.stdout);
        }
    }

    async fn all(mut self) -> (String, String) {
        while self.more().await {}
        (self.stdout, self.stderr)
    }
}

fn record(input: Value) -> Vec<u8> {
    let call = json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": input});
    recordio::encode(call.to_string().as_bytes()).to_vec()
}

fn typed(text: &str) -> Vec<u8> {
    let data = json!({"type": "STDIN", "data": STANDARD.encode(text)});
    record(json!({"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": data}}))
}

fn resized(rows: u32, columns: u32) -> Vec<u8> {
    let size = json!({"window_size": {"rows": rows, "columns": columns}});
    record(json!({"type": "PROCESS_IO", "process_io":
        {"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": size}}}))
}

async fn attach_input(cluster: &Cluster, id: &Value, records: Vec<Vec<u8>>) -> (u16, String) {
    let mut body = record(json!({"type": "CONTAINER_ID", "container_id": id}));
    body.extend(records.concat());
    let request = reqwest::Client::new()
        .post(url(cluster))
        .header("content-type", "application/recordio")
        .header("message-content-type", "application/json")
        .body(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn wait(cluster: &Cluster, id: &Value) -> Value {
    let call_for = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": id}});
    let (status, text) = call(cluster, call_for).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["wait_container"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_heard_and_seen_to_its_end() {
    let (mut cluster, _) = Cluster::start().await;
    let parent = running(&mut cluster).await;
    let id = inside(&parent, "session");
    let command = json!({
        "value": "echo to stderr >&2; read line; echo \"$NAME heard $line\"; cat; exit 3",
        "environment": {"variables": [{"name": "NAME", "value": "it"}]},
    });
    let output = Output::new(session(&cluster, &id, command, json!({})).await);
    let records = vec![typed("hello\n"), typed("the rest"), typed("")];
    let (typed, (stdout, stderr)) =
        tokio::join!(attach_input(&cluster, &id, records), output.all());
    assert_eq!(typed, (200, String::new()));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("it heard hello\nthe rest", "to stderr\n"));
    assert_eq!(wait(&cluster, &id).await, json!({"exit_status": 3 << 8}));
    // It is not on the books of anybody.
    let state = cluster.json("/state").await;
    assert_eq!(state["frameworks"][0]["executors"][0]["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_a_terminal_of_the_size_of_its_user() {
    let (mut cluster, _) = Cluster::start().await;
    let parent = running(&mut cluster).await;
    let id = inside(&parent, "terminal");
    let container =
        json!({"type": "MESOS", "tty_info": {"window_size": {"rows": 33, "columns": 77}}});
    let command = json!({"value": "stty size; read line; stty size; tty; echo done"});
    let response = session(&cluster, &id, command, json!({"container": container})).await;
    let mut output = Output::new(response);
    output.until("33 77").await;
    let typed = attach_input(&cluster, &id, vec![resized(20, 90), typed("x\n")]).await;
    assert_eq!(typed.0, 200, "{}", typed.1);
    let (stdout, _) = output.all().await;
    assert!(stdout.contains("20 90") && stdout.contains("/dev/"), "{stdout}");
    assert_eq!(wait(&cluster, &id).await["exit_status"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_who_sees_it() {
    let (mut cluster, _) = Cluster::start().await;
    let parent = running(&mut cluster).await;
    let id = inside(&parent, "left");
    let command = json!({"value": "echo $$; exec sleep 1000"});
    let mut output = Output::new(session(&cluster, &id, command, json!({})).await);
    output.until("\n").await;
    // Two cannot speak at once.
    let first = typed("");
    let again = session_twice(&cluster, &id).await;
    assert_eq!(again.0, 400, "{}", again.1);
    drop((first, output));
    assert_eq!(wait(&cluster, &id).await["exit_status"], 9);
    assert_eq!(
        cluster.json("/state").await["frameworks"][0]["executors"][0]["tasks"][0]["id"],
        "t"
    );
}

async fn session_twice(cluster: &Cluster, id: &Value) -> (u16, String) {
    let call = json!({"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session":
        {"container_id": id, "command": {"value": "true"}}});
    let request = reqwest::Client::new().post(url(cluster)).header("accept", "*/*").json(&call);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_inside_survives_the_agent_and_ends_with_its_parent() {
    let (mut cluster, _) = Cluster::start().await;
    let parent = running(&mut cluster).await;
    let launch = |name: &str, command: &str| {
        json!({"type": "LAUNCH_CONTAINER", "launch_container":
            {"container_id": inside(&parent, name), "command": {"value": command}}})
    };
    assert_eq!(call(&cluster, launch("a", "exec sleep 1000")).await, (200, String::new()));
    assert_eq!(call(&cluster, launch("a", "exec sleep 1000")).await.0, 202, "there already");
    assert_eq!(call(&cluster, launch("b", "echo seen; exit 7")).await.0, 200);
    assert_eq!(wait(&cluster, &inside(&parent, "b")).await["exit_status"], 7 << 8);
    let remove = |name: &str| {
        json!({"type": "REMOVE_CONTAINER", "remove_container":
            {"container_id": inside(&parent, name)}})
    };
    let early = call(&cluster, remove("a")).await;
    assert!(early.0 == 400 && early.1.contains("has not ended"), "{early:?}");
    assert_eq!(call(&cluster, remove("b")).await.0, 200);
    assert_eq!(call(&cluster, remove("b")).await.0, 404);

    cluster.stop_agent().await;
    cluster.start_agent().await;
    let kill = |signal: i32| {
        json!({"type": "KILL_CONTAINER", "kill_container":
            {"container_id": inside(&parent, "a"), "signal": signal}})
    };
    let known = || async {
        let answer = call(&cluster, kill(0)).await;
        if answer.0 == 400 { Ok(()) } else { Err(answer) }
    };
    eventually_async(known).await;
    let deep = json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container":
        {"container_id": inside(&inside(&parent, "a"), "deep"),
         "command": {"value": "exec sleep 1000"}}});
    let started = || async {
        let answer = call(&cluster, deep.clone()).await;
        if matches!(answer.0, 200 | 202) { Ok(()) } else { Err(answer) }
    };
    eventually_async(started).await;
    assert_eq!(call(&cluster, kill(15)).await.0, 200);
    assert_eq!(wait(&cluster, &inside(&parent, "a")).await["exit_status"], 15);

    assert_eq!(call(&cluster, launch("c", "exec sleep 1000")).await.0, 200);
    let waiting = inside(&parent, "c");
    let ended = wait(&cluster, &waiting);
    let killed = async {
        cluster.kill("t", 0).await;
    };
    let (ended, ()) = tokio::join!(ended, killed);
    assert_eq!(ended["exit_status"], 9, "{ended}");
    cluster.until(TaskState::TaskKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_is_said_and_why() {
    let (mut cluster, _) = Cluster::start().await;
    let parent = running(&mut cluster).await;
    let launch = |id: Value, command: Value| {
        json!({"type": "LAUNCH_CONTAINER", "launch_container":
            {"container_id": id, "command": command}})
    };
    let sh = || json!({"value": "true"});
    for (wrong, status, part) in [
        (launch(inside(&parent, "a.b"), sh()), 400, "not a valid container id"),
        (launch(json!({"value": "x"}), sh()), 400, "without a parent"),
        (launch(inside(&json!({"value": "x"}), "y"), sh()), 400, "cannot be found"),
        (
            launch(inside(&parent, "n"), json!({"value": "/no/such", "shell": false})),
            400,
            "/no/such",
        ),
        (
            launch(inside(&parent, "u"), json!({"value": "true", "user": "nobody-at-all"})),
            400,
            "nobody-at-all",
        ),
        (json!({"type": "LAUNCH_CONTAINER"}), 400, "launch_container"),
        (
            json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "x"}}}),
            404,
            "x",
        ),
        (json!({"type": "ATTACH_CONTAINER_INPUT"}), 415, "recordio"),
        (
            json!({"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": parent}}),
            500,
            "nothing to attach to",
        ),
    ] {
        let (found, text) = call(&cluster, wrong.clone()).await;
        assert!(found == status && text.contains(part), "{found} {text} for {wrong}");
    }
    // A task without a console has nothing to attach to.
    let attached = attach_input(&cluster, &parent, vec![typed("x")]).await;
    assert!(attached.0 == 500 && attached.1.contains("nothing to attach to"), "{attached:?}");
    let unknown = attach_input(&cluster, &inside(&parent, "none"), vec![]).await;
    assert_eq!(unknown.0, 404);
    assert!(runs(std::process::id()));
}
