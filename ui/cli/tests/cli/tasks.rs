//! Tasks, their logs and files.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::Cli;

const LOG: &str = "GET /system/v1/logs/v2/task/web.1/file/stdout";
const ROOT: &str = "/frameworks/F/executors/web.1/runs/latest";

async fn with_tasks() -> Cli {
    let cli = Cli::new().await;
    let task = |id: &str, state: &str| json!({ "id": id, "name": "web", "framework_id": "F", "slave_id": "S1", "executor_id": "", "state": state });
    let state = json!({
        "slaves": [{ "id": "S1", "hostname": "n1" }],
        "frameworks": [{ "tasks": [task("web.1", "TASK_RUNNING")], "completed_tasks": [task("web.0", "TASK_FAILED")] }],
    });
    cli.gateway.on("GET /mesos/master/state", 200, &state);
    cli.gateway.on("GET /agent/S1/files/debug", 200, &json!({ ROOT: "/real" }));
    cli
}

fn file(path: &str, mode: &str) -> Value {
    json!({ "path": format!("{ROOT}/{path}"), "mode": mode, "size": 5, "mtime": 1.0, "uid": "root", "gid": "root" })
}

#[tokio::test]
async fn tasks_are_listed() {
    let cli = with_tasks().await;
    expect![[r#"
        NAME  HOST  USER  STATE         SINCE  ID
        web   n1    -     TASK_RUNNING  -      web.1
    "#]]
    .assert_eq(&cli.run(&["task", "list"]).await.ok());
    assert_eq!(cli.run(&["task", "list", "--all", "-q"]).await.ok(), "web.0\nweb.1\n");
    assert_eq!(cli.run(&["task", "list", "nothing", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn a_log_comes_from_the_log_api() {
    let cli = with_tasks().await;
    cli.gateway.on_raw(LOG, 200, "text/plain", "one\ntwo\n");
    assert_eq!(cli.run(&["task", "log", "web", "--lines", "2"]).await.ok(), "one\ntwo\n");
    let asked = cli.gateway.asked(LOG);
    assert_eq!(asked.line, format!("{LOG}?cursor=END&skip=-2"));
    assert_eq!(asked.accept, "text/plain");
    let document = cli.run(&["task", "log", "web.1", "--json"]).await.json();
    assert_eq!(document, json!([{ "task": "web.1", "file": "stdout", "lines": ["one", "two"] }]));
}

#[tokio::test]
async fn a_followed_log_is_a_stream_of_messages() {
    let cli = with_tasks().await;
    let event =
        |message: &str| format!("id: 1\ndata: {}\n\n", json!({ "fields": { "MESSAGE": message } }));
    let events = format!("{}: keep-alive\n\n{}", event("one"), event("zwei ö\n"));
    cli.gateway.on_raw(LOG, 200, "text/event-stream", events);
    assert_eq!(cli.run(&["task", "log", "web", "--follow"]).await.ok(), "one\nzwei ö\n");
    assert_eq!(cli.gateway.asked(LOG).accept, "text/event-stream");
}

#[tokio::test]
async fn without_a_log_api_the_file_is_read_from_the_agent() {
    let cli = with_tasks().await;
    let content = "first\nsecond\nthird\n";
    cli.gateway
        .on("GET /agent/S1/files/read", 200, &json!({ "offset": content.len(), "data": "" }))
        .on("GET /agent/S1/files/read", 200, &json!({ "offset": 0, "data": content }))
        .on("GET /agent/S1/files/read", 200, &json!({ "offset": 6, "data": "second\nthird\n" }))
        .on("GET /agent/S1/files/read", 200, &json!({ "offset": content.len(), "data": "" }));
    assert_eq!(cli.run(&["task", "log", "web", "-n", "2"]).await.ok(), "second\nthird\n");
    let read: Vec<String> =
        cli.gateway.lines().into_iter().filter(|line| line.contains("/files/read")).collect();
    assert!(read.iter().any(|line| line.contains("offset=6&")), "{read:#?}");
}

#[tokio::test]
async fn tasks_and_files_that_are_not_there_are_not_found() {
    let cli = with_tasks().await;
    let error = cli.run(&["task", "log", "api"]).await.fails(3);
    assert_eq!(error, "error: no task matches 'api'; see the tasks with: karman task list --all\n");
    let error = cli.run(&["task", "log", "web", "nofile"]).await.fails(3);
    assert_eq!(error, "error: nofile does not exist; see the files with: karman task ls TASK\n");
    cli.run(&["task", "ls", "web", "nofolder"]).await.fails(3);
}

#[tokio::test]
async fn several_tasks_have_headings_and_cannot_be_followed() {
    let cli = with_tasks().await;
    cli.gateway.on_raw(LOG, 200, "text/plain", "new\n");
    cli.gateway.on_raw(&LOG.replace("web.1", "web.0"), 200, "text/plain", "old\n");
    let logs = cli.run(&["task", "log", "web", "--all"]).await.ok();
    assert_eq!(logs, "==> web.0:stdout <==\nold\n\n==> web.1:stdout <==\nnew\n");
    cli.run(&["task", "log", "web", "--all", "--follow"]).await.fails(2);
}

#[tokio::test]
async fn a_sandbox_is_listed_and_downloaded() {
    let cli = with_tasks().await;
    let browse = "GET /agent/S1/files/browse";
    let top = json!([file("logs", "drwxr-xr-x"), file("stdout", "-rw-r--r--")]);
    cli.gateway.on(browse, 200, &top).on(browse, 200, &top);
    assert_eq!(cli.run(&["task", "ls", "web"]).await.ok(), "logs/\nstdout\n");
    cli.gateway.on(browse, 200, &json!([file("logs/a.txt", "-rw-r--r--")]));
    cli.gateway.on_raw("GET /agent/S1/files/download", 200, "application/octet-stream", "hello");
    let target = cli.settings.path().join("out");
    let said =
        cli.run(&["task", "download", "web", "--target-dir", target.to_str().unwrap()]).await.ok();
    assert!(said.starts_with("2 files downloaded to "), "{said}");
    assert_eq!(std::fs::read_to_string(target.join("stdout")).unwrap(), "hello");
    assert_eq!(std::fs::read_to_string(target.join("logs/a.txt")).unwrap(), "hello");
}

#[tokio::test]
async fn a_file_name_cannot_lead_out_of_the_target() {
    let cli = with_tasks().await;
    cli.gateway.on("GET /agent/S1/files/browse", 200, &json!([file("../../evil", "-rw-r--r--")]));
    let target = cli.settings.path().join("out");
    let error = cli
        .run(&["task", "download", "web", "--target-dir", target.to_str().unwrap()])
        .await
        .fails(1);
    assert!(error.contains("outside the sandbox"), "{error}");
    assert!(!cli.settings.path().join("evil").exists());
}
