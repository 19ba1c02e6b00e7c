//! The real `karman` against the real `karmand`.

use std::process::Output;

use serde_json::Value;

use crate::binaries;
use crate::datacenter::Datacenter;

/// Runs `karman` with settings of its own.
async fn karman(dc: &Datacenter, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binaries::path("karman"));
    command.env_clear().env("KARMAN_DIR", dc.file("karman-settings")).args(args);
    command.current_dir(binaries::root()).kill_on_drop(true).output().await.unwrap()
}

/// Its output, where it worked.
async fn text(dc: &Datacenter, args: &[&str]) -> String {
    let output = karman(dc, args).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "karman {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json(dc: &Datacenter, args: &[&str]) -> Value {
    let text = text(dc, &[args, &["--json"]].concat()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("karman {args:?}: {error} in {text}"))
}

#[tokio::test]
async fn an_app_is_added_read_scaled_and_removed() {
    let dc = Datacenter::start().await;
    text(&dc, &["cluster", "setup", &dc.ready.gateway]).await;
    assert!(text(&dc, &["node", "list"]).await.contains("127.0.0.1"));
    text(&dc, &["marathon", "app", "add", "examples/web.json"]).await;
    let tasks = dc.marathon().settled("/web", 3).await;

    assert!(text(&dc, &["marathon", "app", "list"]).await.contains("/web"));
    assert_eq!(json(&dc, &["marathon", "app", "show", "/web"]).await["instances"], 3);
    let id = tasks[0]["id"].as_str().unwrap();
    assert!(text(&dc, &["task", "list"]).await.contains(id.split('.').next().unwrap()));
    // The health check has asked by now.
    assert!(text(&dc, &["task", "log", id, "stderr"]).await.contains("GET / HTTP"));
    assert!(text(&dc, &["task", "ls", id]).await.contains("stdout"));

    text(&dc, &["marathon", "app", "update", "/web", "instances=1"]).await;
    dc.marathon().settled("/web", 1).await;
    let versions = json(&dc, &["marathon", "app", "version", "list", "/web"]).await;
    assert_eq!(versions.as_array().map(Vec::len), Some(2), "{versions:#}");
    text(&dc, &["marathon", "app", "restart", "/web"]).await;
    let new = dc.marathon().settled("/web", 1).await;
    assert!(tasks.iter().all(|task| task["id"] != new[0]["id"]));

    text(&dc, &["marathon", "app", "remove", "/web"]).await;
    let gone = karman(&dc, &["marathon", "app", "show", "/web"]).await;
    assert_eq!(gone.status.code(), Some(3), "{}", String::from_utf8_lossy(&gone.stderr));
}

#[tokio::test]
async fn a_cluster_that_is_away_has_an_exit_code_of_its_own() {
    let mut dc = Datacenter::start().await;
    text(&dc, &["cluster", "setup", &dc.ready.gateway]).await;
    dc.stop().await;
    let away = karman(&dc, &["node", "list"]).await;
    assert_eq!(away.status.code(), Some(4), "{}", String::from_utf8_lossy(&away.stderr));
    assert_eq!(String::from_utf8_lossy(&away.stderr).lines().count(), 1);
}
