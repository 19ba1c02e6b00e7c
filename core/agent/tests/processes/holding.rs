//! Reservations and persistent volumes.

use std::fs;
use std::path::PathBuf;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{TaskInfo, TaskState};
use karman_api::session::Resources;
use karman_api::session::master_message::Body as FromMaster;
use serde_json::{Value, json};

use crate::master::{Cluster, task_with};
use crate::support::{eventually, eventually_async};

fn plain(name: &str, amount: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount}})
}

fn reserved(name: &str, amount: f64) -> Value {
    let mut resource = plain(name, amount);
    resource["reservations"] = json!([{"type": "DYNAMIC", "role": "eng/web", "principal": "p"}]);
    resource
}

fn volume(id: &str) -> Value {
    let mut volume = reserved("disk", 100.0);
    volume["disk"] = json!({
        "persistence": {"id": id, "principal": "p"},
        "volume": {"container_path": "data", "mode": "RW"},
    });
    volume
}

fn task_on(id: &str, command: &str, resources: Value) -> TaskInfo {
    task_with(id, json!({"value": command}), json!({"resources": resources}))
}

impl Cluster {
    /// Says that the agent has these beside the rest of what it has.
    async fn told(&self, made: &[Value]) {
        let mut all = vec![plain("cpus", 3.0), plain("mem", 4096.0), plain("disk", 800.0)];
        all.push(reserved("cpus", 1.0));
        all.extend(made.iter().cloned());
        let resources = serde_json::from_value(Value::Array(all)).unwrap();
        self.say(FromMaster::Resources(Resources { resources })).await;
    }

    fn volume(&self, id: &str) -> PathBuf {
        self.work_dir.path().join("agent/volumes/roles/eng web").join(id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_outlives_its_tasks_and_the_agent_and_goes_when_it_is_destroyed() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.told(&[volume("v")]).await;
    let resources = json!([reserved("cpus", 1.0), volume("v")]);
    cluster.launch(task_on("writes", "echo kept > data/file", resources.clone())).await;
    cluster.until(TaskState::TaskFinished).await;
    assert_eq!(fs::read_to_string(cluster.volume("v").join("file")).unwrap(), "kept\n");
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });

    cluster.stop_agent().await;
    let register = cluster.start_agent().await;
    assert_eq!(register.held.len(), 5);
    let reads = "test \"$(cat data/file)\" = kept && rm data/file";
    cluster.launch(task_on("reads", reads, resources)).await;
    cluster.until(TaskState::TaskFinished).await;
    assert!(!cluster.volume("v").join("file").exists());

    cluster.told(&[]).await;
    eventually(|| if cluster.volume("v").exists() { Err("still there") } else { Ok(()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_in_use_is_deleted_after_its_task() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.told(&[volume("v"), volume("w")]).await;
    let resources = json!([plain("cpus", 0.1), volume("v")]);
    cluster.launch(task_on("t", "touch data/file; sleep 1000", resources.clone())).await;
    cluster.until(TaskState::TaskRunning).await;
    let data = "/files/browse?path=/frameworks/F-0000/executors/t/runs/latest/data";
    eventually_async(async || {
        let listed = cluster.get(data).await;
        if listed.0 == 200 && listed.1.contains("data/file") { Ok(()) } else { Err(listed) }
    })
    .await;
    cluster.told(&[]).await;
    eventually(|| if cluster.volume("w").exists() { Err("still there") } else { Ok(()) });
    assert!(cluster.volume("v").exists());

    // Another process of this agent knows what is left to do.
    cluster.stop_agent().await;
    cluster.start_agent().await;
    assert!(cluster.volume("v").join("file").exists());
    cluster.kill("t", 0).await;
    cluster.until(TaskState::TaskKilled).await;
    eventually(|| if cluster.volume("v").exists() { Err("still there") } else { Ok(()) });

    cluster.launch(task_on("late", "true", resources)).await;
    let dropped = cluster.until(TaskState::TaskDropped).await;
    assert_eq!(dropped.reason(), Reason::ResourcesUnknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_tells_reservations_apart() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.told(&[volume("v")]).await;
    let resources = json!([reserved("cpus", 1.0), plain("cpus", 0.5), plain("mem", 32.0)]);
    cluster.launch(task_on("t", "sleep 1000", resources)).await;
    cluster.until(TaskState::TaskRunning).await;
    let state = cluster.json("/state").await;
    assert_eq!(state["reserved_resources"]["eng/web"]["cpus"], 1.0);
    assert_eq!(state["reserved_resources_allocated"]["eng/web"]["cpus"], 1.0);
    assert_eq!(state["unreserved_resources"]["cpus"], 3.0);
    assert_eq!(state["unreserved_resources_allocated"]["cpus"], 0.5);
    let full = state["reserved_resources_full"]["eng/web"].as_array().unwrap();
    let disk = full.iter().find(|resource| resource["name"] == "disk").unwrap();
    assert_eq!(disk["disk"]["persistence"]["id"], "v");
    assert_eq!(disk["role"], "eng/web");
    assert_eq!(disk["reservations"][0]["type"], "DYNAMIC");
    cluster.kill("t", 0).await;
    cluster.until(TaskState::TaskKilled).await;
}
