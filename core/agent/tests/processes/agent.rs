//! An agent under a master: launching, ending, restarting.

use std::fs;

use karman_api::mesos::v1::TaskState;
use karman_api::mesos::v1::agent_info::capability::Type;
use karman_api::mesos::v1::task_status::Reason;
use serde_json::json;

use crate::master::{Cluster, agent, task, task_with};
use crate::support::{eventually, eventually_async, runs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_launched_runs_and_is_killed() {
    let (mut cluster, register) = Cluster::start().await;
    assert!(register.tasks.is_empty());
    assert_eq!(register.address, "127.0.0.1");
    assert!(register.capabilities.iter().any(|it| it.r#type() == Type::AgentDraining));
    let info = register.agent.unwrap();
    assert_eq!(info.id, None);
    let domain = info.domain.unwrap().fault_domain.unwrap();
    assert_eq!((domain.region.name.as_str(), domain.zone.name.as_str()), ("europe", "a"));
    cluster.launch(task("t", "echo $MESOS_TASK_ID $MESOS_FRAMEWORK_ID; sleep 1000")).await;
    assert_eq!(cluster.heard().await.state(), TaskState::TaskStarting);
    let running = cluster.heard().await;
    assert_eq!(running.state(), TaskState::TaskRunning);
    assert_eq!(running.uuid.as_deref().map(<[u8]>::len), Some(16));
    let container = running.container_status.unwrap();
    assert_eq!(container.network_infos[0].ip_addresses[0].ip_address(), "127.0.0.1");
    assert!(runs(container.executor_pid.unwrap()));
    let stdout = cluster
        .work_dir
        .path()
        .join(format!("agent/slaves/{}/frameworks/F-0000/executors/t/runs/latest/stdout", agent()));
    eventually(|| match fs::read_to_string(&stdout) {
        Ok(text) if text == "t F-0000\n" => Ok(()),
        other => Err(other),
    });

    cluster.kill("t", 100).await;
    assert_eq!(cluster.heard().await.state(), TaskState::TaskKilling);
    let killed = cluster.heard().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    assert_eq!(killed.message(), "Command terminated with signal Terminated");
    // Acknowledged to the end: forgotten, but its sandbox stays.
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
    assert!(stdout.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_come_one_at_a_time() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "true")).await;
    let first = cluster.update().await;
    assert_eq!(first.state(), TaskState::TaskStarting);
    // The others wait for the first.
    eventually_async(async || {
        let state = cluster.json("/state").await;
        let states = state["frameworks"][0]["executors"][0]["completed_tasks"].to_string();
        if states.contains("TASK_FINISHED") || state.to_string().contains("TASK_FINISHED") {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
    cluster.acknowledge(&first).await;
    assert_eq!(cluster.heard().await.state(), TaskState::TaskRunning);
    assert_eq!(cluster.heard().await.state(), TaskState::TaskFinished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_tell_their_reason() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("missing", "no-such-command")).await;
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert!(failed.message().starts_with("Command exited with status 127: "), "{failed:?}");
    assert!(failed.message().contains("not found"), "{failed:?}");

    let command = json!({"shell": false, "value": "/no/such/file", "arguments": ["x"]});
    cluster.launch(task_with("exec", command, json!({}))).await;
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert_eq!(
        failed.message(),
        "cannot execute '/no/such/file': No such file or directory (os error 2)"
    );
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);

    let docker = json!({"image": "x", "network": "BRIDGE"});
    let container = json!({"container": {"type": "DOCKER", "docker": docker}});
    cluster.launch(task_with("docker", json!({"value": "true"}), container)).await;
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert_eq!(
        failed.message(),
        "Networks of containers are not there yet: use network HOST, and serve at $PORT0"
    );
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_finds_its_tasks() {
    let (mut cluster, _) = Cluster::start().await;
    cluster
        .launch_all(vec![
            task("lives", "sleep 1000"),
            task("ends", "while [ ! -e go ]; do sleep 0.02; done; exit 5"),
        ])
        .await;
    let mut shims = Vec::new();
    while shims.len() < 2 {
        let status = cluster.heard().await;
        if status.state() == TaskState::TaskRunning {
            shims.push((
                status.task_id.value.clone(),
                status.container_status.unwrap().executor_pid.unwrap(),
            ));
        }
    }
    cluster.stop_agent().await;
    let executors = cluster
        .work_dir
        .path()
        .join(format!("agent/slaves/{}/frameworks/F-0000/executors", agent()));
    fs::write(executors.join("ends/runs/latest/go"), "").unwrap();
    let run_of = |name: &str| {
        let container = fs::read_link(executors.join(name).join("runs/latest")).unwrap();
        cluster.work_dir.path().join(format!("agent/meta/slaves/{}/runs", agent())).join(container)
    };
    let exit = run_of("ends").join("exit.json");
    eventually(|| if exit.exists() { Ok(()) } else { Err("not ended") });

    let register = cluster.start_agent().await;
    assert_eq!(register.agent.unwrap().id.unwrap().value, agent());
    let mut tasks: Vec<String> = register
        .tasks
        .iter()
        .map(|task| task.task.as_ref().unwrap().task_id.value.clone())
        .collect();
    tasks.sort();
    assert_eq!(tasks, ["ends", "lives"]);
    assert_eq!(register.frameworks.len(), 1);
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert_eq!(
        (failed.task_id.value.as_str(), failed.message()),
        ("ends", "Command exited with status 5")
    );

    // The same process still runs, and still obeys.
    let (_, shim) = shims.iter().find(|(task, _)| task == "lives").unwrap();
    assert!(runs(*shim));
    cluster.kill("lives", 100).await;
    let killed = cluster.until(TaskState::TaskKilled).await;
    assert_eq!(killed.container_status.unwrap().executor_pid, Some(*shim));
    assert!(!runs(*shim));
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_said_again_after_a_restart() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "true")).await;
    let before = cluster.update().await;
    eventually_async(async || {
        let state = cluster.json("/state").await.to_string();
        if state.contains("TASK_FINISHED") { Ok(()) } else { Err(state) }
    })
    .await;
    cluster.stop_agent().await;
    let register = cluster.start_agent().await;
    assert_eq!(register.tasks[0].status.as_ref().unwrap().state(), TaskState::TaskStarting);
    assert_eq!(register.tasks[0].latest.as_ref().unwrap().state(), TaskState::TaskFinished);
    let again = cluster.heard().await;
    assert_eq!(again.uuid, before.uuid);
    cluster.until(TaskState::TaskFinished).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reboot_ends_tasks() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "sleep 1000")).await;
    let running = cluster.until(TaskState::TaskRunning).await;
    cluster.stop_agent().await;
    fs::write(cluster.work_dir.path().join("agent/meta/boot_id"), "another").unwrap();
    cluster.start_agent().await;
    let gone = cluster.until(TaskState::TaskGone).await;
    assert_eq!(gone.reason(), Reason::AgentRestarted);
    // Nothing was really rebooted here.
    let shim = running.container_status.unwrap().executor_pid.unwrap();
    kill_hard(shim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_shim_is_a_failure_and_its_task_does_not_survive_it() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "exec sleep 1000")).await;
    let running = cluster.until(TaskState::TaskRunning).await;
    let status = running.container_status.as_ref().unwrap();
    let container = &status.container_id.as_ref().unwrap().value;
    let record =
        cluster.work_dir.path().join(format!("agent/meta/slaves/{}/runs/{container}/pid", agent()));
    // Its number inside is another.
    let record: serde_json::Value =
        eventually(|| serde_json::from_slice(&fs::read(&record).unwrap_or_default()));
    let task = u32::try_from(record["task"]["pid"].as_u64().unwrap()).unwrap();
    let shim = running.container_status.unwrap().executor_pid.unwrap();
    kill_hard(shim);
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert_eq!(failed.message(), "The shim of the task is gone; how the task ended is not known");
    eventually(|| if runs(task) { Err(task) } else { Ok(()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_a_framework_that_is_gone_end_silently() {
    let (mut cluster, _) = Cluster::start().await;
    cluster
        .launch(task_with(
            "t",
            json!({"value": "sleep 1000"}),
            json!({"kill_policy": {"grace_period": {"nanoseconds": 1}}}),
        ))
        .await;
    let running = cluster.until(TaskState::TaskRunning).await;
    cluster.shut_down_framework().await;
    let shim = running.container_status.unwrap().executor_pid.unwrap();
    eventually(|| if runs(shim) { Err(shim) } else { Ok(()) });
    eventually_async(async || if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_tell_and_kill() {
    let (mut cluster, _) = Cluster::start().await;
    let check = json!({"health_check": {
        "type": "COMMAND", "command": {"value": "test -e $MESOS_SANDBOX/well"},
        "delay_seconds": 0, "interval_seconds": 0.02, "timeout_seconds": 5,
        "grace_period_seconds": 0, "consecutive_failures": 2,
    }});
    cluster.launch(task_with("t", json!({"value": "touch well; sleep 1000"}), check)).await;
    let mut status = cluster.until(TaskState::TaskRunning).await;
    assert_eq!(status.healthy, None);
    // The first answer may have come before the file.
    while status.healthy != Some(true) {
        status = cluster.until(TaskState::TaskRunning).await;
        assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
    }
    fs::remove_file(
        cluster.work_dir.path().join(format!(
            "agent/slaves/{}/frameworks/F-0000/executors/t/runs/latest/well",
            agent()
        )),
    )
    .unwrap();
    assert_eq!(cluster.until(TaskState::TaskRunning).await.healthy, Some(false));
    let killed = cluster.until(TaskState::TaskKilled).await;
    assert_eq!(killed.healthy, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_report_their_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (mut cluster, _) = Cluster::start().await;
    let check = json!({"check": {
        "type": "TCP", "tcp": {"port": port}, "delay_seconds": 0, "interval_seconds": 0.02,
    }});
    cluster.launch(task_with("t", json!({"value": "sleep 1000"}), check)).await;
    let running = cluster.until(TaskState::TaskRunning).await;
    assert_eq!(running.check_status.unwrap().tcp.unwrap().succeeded, None);
    let answered = cluster.until(TaskState::TaskRunning).await;
    assert_eq!(answered.reason(), Reason::TaskCheckStatusUpdated);
    assert_eq!(answered.check_status.unwrap().tcp.unwrap().succeeded, Some(true));
    cluster.kill("t", 0).await;
    cluster.until(TaskState::TaskKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_fetched_into_the_sandbox() {
    let (mut cluster, _) = Cluster::start().await;
    let script = cluster.work_dir.path().join("script.sh");
    fs::write(&script, "#!/bin/sh\necho fetched; exit 9\n").unwrap();
    let uri = json!({"value": format!("file://{}", script.display()), "executable": true});
    cluster.launch(task_with("t", json!({"value": "./script.sh", "uris": [uri]}), json!({}))).await;
    assert_eq!(
        cluster.until(TaskState::TaskFailed).await.message(),
        "Command exited with status 9"
    );
    let packed = cluster.work_dir.path().join("packed.tgz");
    let folder = cluster.work_dir.path().to_str().unwrap();
    let arguments = ["-C", folder, "-czf", packed.to_str().unwrap(), "script.sh"];
    assert!(std::process::Command::new("tar").args(arguments).status().unwrap().success());
    let uri = json!({"value": packed, "cache": true});
    let command = json!({"value": "sh ./script.sh", "uris": [uri]});
    cluster.launch(task_with("s", command, json!({}))).await;
    assert_eq!(
        cluster.until(TaskState::TaskFailed).await.message(),
        "Command exited with status 9"
    );
    let uri = json!({"value": "file:///no/such/file"});
    cluster.launch(task_with("u", json!({"value": "true", "uris": [uri]}), json!({}))).await;
    let failed = cluster.until(TaskState::TaskFailed).await;
    assert!(failed.message().contains("No such file"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_tasks_finish() {
    let (mut cluster, _) = Cluster::start().await;
    let tasks = (0..30).map(|number| task(&format!("t{number}"), "exit 0")).collect();
    cluster.launch_all(tasks).await;
    for _ in 0..30 {
        cluster.until(TaskState::TaskFinished).await;
    }
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_again_and_loses_nothing() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "exit 4")).await;
    let before = cluster.update().await;
    cluster.hang_up().await;
    let register = cluster.admit().await;
    assert_eq!(register.agent.unwrap().id.unwrap().value, agent());
    assert_eq!(register.tasks.len(), 1);
    let again = cluster.heard().await;
    assert_eq!(again.uuid, before.uuid);
    cluster.until(TaskState::TaskFailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_no_shim_took_on_is_launched_after_a_restart() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "sleep 1000")).await;
    let running = cluster.until(TaskState::TaskRunning).await;
    cluster.stop_agent().await;
    // As if the agent had ended right after its checkpoint.
    kill_hard(running.container_status.unwrap().executor_pid.unwrap());
    let runs = cluster.work_dir.path().join(format!("agent/meta/slaves/{}/runs", agent()));
    let run = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    for file in ["shim.json", "pid", "updates.jsonl"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let register = cluster.start_agent().await;
    assert_eq!(register.tasks.len(), 1);
    assert_eq!(cluster.heard().await.state(), TaskState::TaskStarting);
    assert_eq!(cluster.heard().await.state(), TaskState::TaskRunning);
    cluster.kill("t", 0).await;
    cluster.until(TaskState::TaskKilled).await;
}

fn kill_hard(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}
