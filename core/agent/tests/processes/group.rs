//! Task groups.

use std::fs;

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{TaskInfo, TaskState};
use karman_api::session::Launch;
use karman_api::session::master_message::Body as FromMaster;
use serde_json::json;

use crate::master::{Cluster, agent, framework, task, task_with};
use crate::support::eventually;

impl Cluster {
    async fn launch_group(&self, executor_cpus: f64, tasks: Vec<TaskInfo>) {
        let executor = json!({
            "type": "DEFAULT", "executor_id": {"value": "pod"},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": executor_cpus}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
            ],
        });
        let executor = Some(serde_json::from_value(executor).unwrap());
        self.say(FromMaster::Launch(Launch { framework: Some(framework()), executor, tasks }))
            .await;
    }

    /// Acknowledges until so many tasks have reached a state; their last
    /// states by name.
    async fn until_all(
        &mut self,
        count: usize,
        is_it: impl Fn(TaskState) -> bool,
    ) -> Vec<(String, TaskState)> {
        let mut found = Vec::new();
        while found.len() < count {
            let status = self.heard().await;
            if is_it(status.state()) {
                found.push((status.task_id.value.clone(), status.state()));
            }
        }
        found.sort();
        found
    }

    async fn until_running(&mut self, count: usize) {
        self.until_all(count, |state| state == TaskState::TaskRunning).await;
    }

    async fn ends(&mut self, count: usize) -> Vec<(String, TaskState)> {
        self.until_all(count, |state| {
            let early = [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskKilling];
            !early.contains(&state)
        })
        .await
    }
}

fn state(task: &str, state: TaskState) -> (String, TaskState) {
    (task.into(), state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_under_its_executor_and_success_ends_nobody_else() {
    let (mut cluster, _) = Cluster::start().await;
    cluster
        .launch_group(
            0.1,
            vec![
                task("short", "echo $MESOS_EXECUTOR_ID $MESOS_CONTAINER_IP"),
                task("long", "while [ ! -e go ]; do sleep 0.02; done"),
            ],
        )
        .await;
    assert_eq!(cluster.ends(1).await, [state("short", TaskState::TaskFinished)]);
    let pod = cluster
        .work_dir
        .path()
        .join(format!("agent/slaves/{}/frameworks/F-0000/executors/pod/runs/latest", agent()));
    assert_eq!(fs::read_to_string(pod.join("tasks/short/stdout")).unwrap(), "pod 127.0.0.1\n");

    let found = cluster.json("/state").await;
    let executor = &found["frameworks"][0]["executors"][0];
    assert_eq!((&executor["id"], &executor["type"]), (&json!("pod"), &json!("DEFAULT")));
    assert_eq!(executor["tasks"][0]["id"], "long");
    assert_eq!(executor["tasks"][0]["executor_id"], "pod");
    assert_eq!(executor["completed_tasks"][0]["id"], "short");
    let path =
        "/files/read?path=/frameworks/F-0000/executors/pod/runs/latest/tasks/short/stdout&offset=0";
    assert_eq!(cluster.json(path).await["data"], "pod 127.0.0.1\n");

    fs::write(pod.join("tasks/long/go"), "").unwrap();
    assert_eq!(cluster.ends(1).await, [state("long", TaskState::TaskFinished)]);
    let (framework, executor, _) = cluster.executor_ended().await;
    assert_eq!((framework.as_str(), executor.as_str()), ("F-0000", "pod"));
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failure_ends_the_group_but_no_other_of_the_executor() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch_group(0.1, vec![task("other", "sleep 1000")]).await;
    cluster.until_running(1).await;
    cluster
        .launch_group(
            0.1,
            vec![
                task("fails", "while [ ! -e go ]; do sleep 0.02; done; exit 3"),
                task("lives", "sleep 1000"),
            ],
        )
        .await;
    cluster.until_running(2).await;
    let tasks = cluster.work_dir.path().join(format!(
        "agent/slaves/{}/frameworks/F-0000/executors/pod/runs/latest/tasks",
        agent()
    ));
    fs::write(tasks.join("fails/go"), "").unwrap();
    assert_eq!(
        cluster.ends(2).await,
        [state("fails", TaskState::TaskFailed), state("lives", TaskState::TaskKilled)]
    );
    cluster.kill("other", 0).await;
    assert_eq!(cluster.ends(1).await, [state("other", TaskState::TaskKilled)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_one_is_a_kill_of_all_even_over_a_restart() {
    let (mut cluster, _) = Cluster::start().await;
    let quick = || json!({"kill_policy": {"grace_period": {"nanoseconds": 1}}});
    let sleeps = |id: &str| task_with(id, json!({"value": "sleep 1000"}), quick());
    cluster.launch_group(0.1, vec![sleeps("a"), sleeps("b"), sleeps("c")]).await;
    cluster.until_running(3).await;
    cluster.stop_agent().await;
    let register = cluster.start_agent().await;
    let executor = register.tasks[0].executor.as_ref().unwrap();
    assert_eq!(executor.executor_id.value, "pod");
    cluster.kill("b", 0).await;
    let killed = ["a", "b", "c"].map(|id| state(id, TaskState::TaskKilled));
    assert_eq!(cluster.ends(3).await, killed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_admitted_whole_or_not_at_all() {
    let (mut cluster, _) = Cluster::start().await;
    let big = json!({"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 3.0}}]});
    let greedy = task_with("greedy", json!({"value": "true"}), big);
    // Of four cpus three are for one task, and what is left is too little for
    // the executor beside the other.
    cluster.launch_group(0.95, vec![task("modest", "true"), greedy]).await;
    for _ in 0..2 {
        let refused = cluster.heard().await;
        assert_eq!(refused.state(), TaskState::TaskFailed);
        assert_eq!(refused.reason(), Reason::TaskGroupInvalid);
        assert!(refused.message().contains("'greedy'"), "{refused:?}");
    }
    // Nothing of it is left on the books.
    let whole =
        json!({"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}}]});
    cluster.launch(task_with("whole", json!({"value": "true"}), whole)).await;
    cluster.until(TaskState::TaskFinished).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_group_is_never_begun() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch_group(0.1, vec![task("a", "sleep 1000"), task("b", "sleep 1000")]).await;
    cluster.until_running(2).await;
    cluster.stop_agent().await;
    // As if the agent had ended after the record of the first.
    let meta = cluster.work_dir.path().join(format!("agent/meta/slaves/{}/", agent()));
    fs::remove_dir_all(meta.join("groups")).unwrap();
    for run in fs::read_dir(meta.join("runs")).unwrap() {
        let run = run.unwrap().path();
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(run.join("task.json")).unwrap()).unwrap();
        let claim: serde_json::Value =
            serde_json::from_slice(&fs::read(run.join("shim.json")).unwrap()).unwrap();
        let shim = i32::try_from(claim["shim"]["pid"].as_i64().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        if record["task"]["task_id"]["value"] == "b" {
            fs::remove_dir_all(&run).unwrap();
        } else {
            for file in ["shim.json", "pid", "updates.jsonl"] {
                fs::remove_file(run.join(file)).unwrap();
            }
        }
    }
    cluster.start_agent().await;
    let dropped = cluster.heard().await;
    assert_eq!(
        (dropped.state(), dropped.reason()),
        (TaskState::TaskDropped, Reason::AgentRestarted)
    );
}
