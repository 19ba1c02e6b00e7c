//! What the agent answers over HTTP.

use karman_api::codec::Codec;
use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::agent::call::{ReadFile, Type};
use karman_api::mesos::v1::agent::{Call, Response};
use serde_json::json;

use crate::master::{Cluster, agent, task};
use crate::support::eventually_async;

const LATEST: &str = "/frameworks/F-0000/executors/t/runs/latest";

async fn running() -> Cluster {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "echo one; echo two; sleep 1000")).await;
    cluster.until(TaskState::TaskRunning).await;
    eventually_async(async || {
        let read = cluster.get(&format!("/files/read?path={LATEST}/stdout&offset=0")).await;
        if read.1.contains("two") { Ok(()) } else { Err(read) }
    })
    .await;
    // What operators see is published a little after what the master hears.
    eventually_async(async || {
        let state = cluster.get("/state").await;
        if state.1.contains("TASK_RUNNING") { Ok(()) } else { Err(state) }
    })
    .await;
    cluster
}

async fn end(mut cluster: Cluster) {
    cluster.kill("t", 0).await;
    cluster.until(TaskState::TaskKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_says_what_runs_and_where() {
    let cluster = running().await;
    for path in ["/state", "/slave(1)/state", "/slave%281%29/state.json"] {
        let state = cluster.json(path).await;
        assert_eq!(state["id"], agent());
        assert_eq!(state["attributes"], json!({"rack": "r1"}));
        assert_eq!(state["resources"]["ports"], "[31000-31099]");
        let executor = &state["frameworks"][0]["executors"][0];
        assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
        let directory = executor["directory"].as_str().unwrap();
        let files = cluster.json(&format!("/files/browse?path={directory}")).await;
        assert_eq!(files.as_array().unwrap().len(), 2, "{files}");
        assert_eq!(files[1]["mode"], "-rw-r--r--");
    }
    let container = &cluster.json("/containers").await[0];
    assert_eq!(container["executor_id"], "t");
    assert_eq!(container["statistics"]["cpus_limit"], 0.1);
    let metrics = cluster.json("/metrics/snapshot").await;
    assert_eq!(metrics["slave/tasks_running"], 1.0);
    assert_eq!(metrics["slave/cpus_used"], 0.1);
    assert_eq!(cluster.json("/version").await, json!({"version": "1.2.3"}));
    assert_eq!(cluster.json("/flags").await["flags"]["hostname"], "localhost");
    assert_eq!(cluster.get("/health").await.0, 200);
    assert_eq!(cluster.get("/version?jsonp=f").await.1, r#"f({"version":"1.2.3"});"#);
    end(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_sandbox_are_read_and_no_others() {
    let cluster = running().await;
    let read = |query: &str| format!("/files/read?path={LATEST}/stdout{query}");
    for (query, expected) in [
        ("&offset=4&length=3", json!({"offset": 4, "data": "two"})),
        ("&offset=0", json!({"offset": 0, "data": "one\ntwo\n"})),
        ("&offset=-1", json!({"offset": 8, "data": ""})),
        ("", json!({"offset": 8, "data": ""})),
        ("&offset=100", json!({"offset": 100, "data": ""})),
    ] {
        assert_eq!(cluster.json(&read(query)).await, expected, "{query}");
    }
    assert_eq!(
        cluster.get(&format!("/files/download?path={LATEST}/stdout")).await,
        (200, "one\ntwo\n".into())
    );
    assert!(cluster.json("/files/debug").await.as_object().unwrap().contains_key(LATEST));
    for (path, status) in [
        ("/files/read".to_owned(), 400),
        (read("&offset=x"), 400),
        (read("&offset=-2"), 400),
        ("/files/read?path=/etc/passwd".into(), 404),
        (format!("/files/read?path={LATEST}/../../../../../../../meta/boot_id"), 403),
        (format!("/files/browse?path={LATEST}/stdout"), 400),
        (format!("/files/download?path={LATEST}/none"), 404),
    ] {
        assert_eq!(cluster.get(&path).await.0, status, "{path}");
    }
    end(cluster).await;
}

async fn call(cluster: &Cluster, codec: Codec, call: &Call) -> (u16, Vec<u8>) {
    let request = reqwest::Client::new()
        .post(format!("http://{}/api/v1", cluster.http))
        .header("Content-Type", codec.media_type())
        .header("Accept", codec.media_type())
        .body(codec.encode(call));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_ask_in_both_encodings() {
    let cluster = running().await;
    let of = |kind: Type| Call { r#type: Some(kind.into()), ..Call::default() };
    for codec in [Codec::Json, Codec::Protobuf] {
        let ask = async |question: Call| -> Response {
            let (status, body) = call(&cluster, codec, &question).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            codec.decode(&body).unwrap()
        };
        assert!(ask(of(Type::GetHealth)).await.get_health.unwrap().healthy);
        let state = ask(of(Type::GetState)).await.get_state.unwrap();
        assert_eq!(state.get_tasks.unwrap().launched_tasks[0].state(), TaskState::TaskRunning);
        assert_eq!(
            ask(of(Type::GetAgent)).await.get_agent.unwrap().agent_info.unwrap().id.unwrap().value,
            agent()
        );
        assert_eq!(ask(of(Type::GetContainers)).await.get_containers.unwrap().containers.len(), 1);
        assert_eq!(ask(of(Type::GetFrameworks)).await.get_frameworks.unwrap().frameworks.len(), 1);
        let read_file =
            Some(ReadFile { path: format!("{LATEST}/stdout"), offset: 4, length: None });
        let read = ask(Call { read_file, ..of(Type::ReadFile) }).await.read_file.unwrap();
        assert_eq!((read.size, read.data.as_ref()), (8, b"two\n".as_slice()));
        assert_eq!(call(&cluster, codec, &of(Type::PruneImages)).await.0, 501);
    }
    end(cluster).await;
}
