//! Draining, removal, and the end of executors.

use karman_api::mesos::v1::task_status::Reason;
use karman_api::mesos::v1::{DrainConfig, DurationInfo, ExecutorId, FrameworkId, TaskState};
use karman_api::session::master_message::Body as FromMaster;
use karman_api::session::{Drain, ExecutorMessage, Rejected, Shutdown, ShutdownExecutor};
use serde_json::json;

use crate::master::{Cluster, FRAMEWORK, agent, task, task_with};
use crate::support::{eventually, eventually_async, runs};

async fn drain(cluster: &Cluster, mark_gone: bool) {
    let config = DrainConfig {
        max_grace_period: Some(DurationInfo { nanoseconds: 0 }),
        mark_gone: Some(mark_gone),
    };
    cluster.say(FromMaster::Drain(Drain { config: Some(config) })).await;
}

/// Ends by nothing but SIGKILL, and never by itself.
fn stubborn(id: &str) -> karman_api::mesos::v1::TaskInfo {
    let command = json!({"value": "trap '' TERM; touch trapped; while :; do sleep 0.05; done"});
    task_with(
        id,
        command,
        json!({"kill_policy": {"grace_period": {"nanoseconds": 3_600_000_000_000_u64}}}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_agent_ends_its_tasks_and_takes_none_until_it_is_told() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(stubborn("t")).await;
    cluster.until(TaskState::TaskRunning).await;
    drain(&cluster, false).await;
    let killing = cluster.heard().await;
    assert_eq!(
        (killing.state(), killing.reason()),
        (TaskState::TaskKilling, Reason::AgentDraining)
    );
    let killed = cluster.until(TaskState::TaskKilled).await;
    assert_eq!(killed.reason(), Reason::AgentDraining);

    cluster.launch(task("late", "true")).await;
    let dropped = cluster.until(TaskState::TaskDropped).await;
    assert_eq!(dropped.reason(), Reason::AgentDraining);
    let state = cluster.json("/state").await;
    assert_eq!(state["drain_config"]["max_grace_period"]["nanoseconds"], 0);
    assert!(state["estimated_drain_start_time_seconds"].as_f64().unwrap() > 1e9, "{state}");

    // Another process of this agent goes on with it.
    cluster.stop_agent().await;
    let register = cluster.start_agent().await;
    assert_eq!(register.drain.unwrap().mark_gone, Some(false));
    cluster.launch(task("later", "true")).await;
    assert_eq!(cluster.until(TaskState::TaskDropped).await.reason(), Reason::AgentDraining);

    cluster.say(FromMaster::Drain(Drain { config: None })).await;
    cluster.launch(task("again", "true")).await;
    cluster.until(TaskState::TaskFinished).await;
    assert!(cluster.json("/state").await.get("drain_config").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_an_agent_that_goes_are_gone_by_the_operator() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(stubborn("t")).await;
    cluster.until(TaskState::TaskRunning).await;
    drain(&cluster, true).await;
    let gone = cluster.until(TaskState::TaskGoneByOperator).await;
    assert_eq!(gone.reason(), Reason::AgentDraining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_agent_ends_everything_and_starts_as_another() {
    let (mut cluster, _) = Cluster::start().await;
    cluster
        .launch(task_with(
            "t",
            json!({"value": "sleep 1000"}),
            json!({"kill_policy": {"grace_period": {"nanoseconds": 1}}}),
        ))
        .await;
    let running = cluster.until(TaskState::TaskRunning).await;
    let shim = running.container_status.unwrap().executor_pid.unwrap();
    cluster.say(FromMaster::Shutdown(Shutdown { reason: "marked gone".into() })).await;
    eventually(|| if runs(shim) { Err(shim) } else { Ok(()) });
    eventually(|| if cluster.runs() == 0 { Ok(()) } else { Err(cluster.runs()) });
    cluster.stop_agent().await;
    let register = cluster.start_agent().await;
    assert_eq!(register.agent.unwrap().id, None);
    assert!(register.tasks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_is_shut_down_with_its_task_and_its_messages_are_counted() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.launch(task("t", "sleep 1000")).await;
    cluster.until(TaskState::TaskRunning).await;
    let framework_id = Some(FrameworkId { value: FRAMEWORK.into() });
    let executor_id = Some(ExecutorId { value: "t".into() });
    let message = ExecutorMessage {
        framework_id: framework_id.clone(),
        executor_id: executor_id.clone(),
        data: b"hello".to_vec().into(),
    };
    cluster.say(FromMaster::Message(message)).await;
    eventually_async(async || {
        let metrics = cluster.json("/metrics/snapshot").await;
        match metrics["slave/invalid_framework_messages"].as_f64() {
            Some(1.0) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    cluster.say(FromMaster::ShutdownExecutor(ShutdownExecutor { framework_id, executor_id })).await;
    cluster.until(TaskState::TaskKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_more_than_before_is_the_same_agent() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.stop_agent().await;
    cluster.resources = "cpus:8;mem:4096;disk:1000;gpus:1;ports:[31000-31099]".into();
    let info = cluster.start_agent().await.agent.unwrap();
    assert_eq!(info.id.unwrap().value, agent());
    let cpus = info.resources.iter().find(|resource| resource.name == "cpus").unwrap();
    assert!((cpus.scalar.as_ref().unwrap().value - 8.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_agent_says_why_and_keeps_its_id() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.stop_agent().await;
    let reason = "the agent has fewer cpus than before".to_owned();
    let refused =
        cluster.start_refused(FromMaster::Rejected(Rejected { reason, passes: false })).await;
    assert_eq!(
        refused.to_string(),
        "the master refused this agent: the agent has fewer cpus than before"
    );
    cluster.stop_agent().await;
    assert_eq!(cluster.start_agent().await.agent.unwrap().id.unwrap().value, agent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_on_a_machine_that_is_down_asks_until_it_is_let_in() {
    let (mut cluster, _) = Cluster::start().await;
    cluster.stop_agent().await;
    let reason = "its machine is down for maintenance".to_owned();
    cluster.start_awaited(FromMaster::Rejected(Rejected { reason, passes: true })).await;
    assert_eq!(cluster.admit().await.agent.unwrap().id.unwrap().value, agent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_removed_while_it_was_away_ends_what_it_finds() {
    let (mut cluster, _) = Cluster::start().await;
    cluster
        .launch(task_with(
            "t",
            json!({"value": "sleep 1000"}),
            json!({"kill_policy": {"grace_period": {"nanoseconds": 1}}}),
        ))
        .await;
    let running = cluster.until(TaskState::TaskRunning).await;
    let shim = running.container_status.unwrap().executor_pid.unwrap();
    cluster.stop_agent().await;
    let gone = FromMaster::Shutdown(Shutdown { reason: "marked gone".into() });
    let refused = cluster.start_refused(gone).await;
    assert_eq!(refused.to_string(), "the master refused this agent: marked gone");
    eventually(|| if runs(shim) { Err(shim) } else { Ok(()) });
    cluster.stop_agent().await;
    assert_eq!(cluster.start_agent().await.agent.unwrap().id, None);
}
