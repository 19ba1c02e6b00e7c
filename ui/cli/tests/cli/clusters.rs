//! Setting clusters up, logging in, choosing one.

use expect_test::expect;
use serde_json::json;

use crate::harness::{Cli, Ended, ended};

const ID: &str = "11111111-1111-4111-8111-111111111111";
const VERSION: &str = "/dcos-metadata/dcos-version.json";

/// A gateway that can be set up without a login.
async fn open() -> Cli {
    let cli = Cli::new().await;
    cli.gateway
        .on(&format!("GET {VERSION}"), 200, &json!({ "version": "2.3.0" }))
        .on(&format!("HEAD {VERSION}"), 200, &json!({}))
        .on("GET /metadata", 200, &json!({ "CLUSTER_ID": ID }))
        .on("GET /mesos/master/state-summary", 200, &json!({ "cluster": "home", "slaves": [] }));
    cli
}

async fn run(cli: &Cli, arguments: &[&str]) -> Ended {
    ended(cli.bare().args(arguments).output().await.unwrap())
}

fn url(cli: &Cli) -> String {
    cli.gateway.url.clone()
}

#[tokio::test]
async fn a_cluster_is_set_up_used_renamed_and_removed() {
    let cli = open().await;
    let said = run(&cli, &["cluster", "setup", &url(&cli)]).await.ok();
    assert_eq!(said, format!("home is set up and attached ({}, version 2.3.0)\n", url(&cli)));
    assert_eq!(run(&cli, &["node", "list"]).await.ok(), "no agent has joined\n");
    let listed = run(&cli, &["cluster", "list", "--json"]).await.json();
    assert_eq!(
        listed,
        json!([{ "attached": true, "cluster_id": ID, "name": "home", "status": "AVAILABLE", "url": url(&cli), "version": "2.3.0" }])
    );
    run(&cli, &["cluster", "rename", "home", "lab"]).await.ok();
    assert_eq!(run(&cli, &["config", "show", "cluster.name"]).await.ok(), "lab\n");
    assert_eq!(run(&cli, &["cluster", "remove", "lab"]).await.ok(), "lab is removed\n");
    assert!(run(&cli, &["cluster", "list"]).await.ok().contains("no cluster is set up"));
}

#[tokio::test]
async fn a_login_is_asked_for_only_where_it_is_needed() {
    let cli = open().await;
    let cli = {
        let locked = Cli::new().await;
        locked
            .gateway
            .on(&format!("GET {VERSION}"), 200, &json!({ "version": "2.3.0" }))
            .on(&format!("HEAD {VERSION}"), 200, &json!({}))
            .on("GET /metadata", 401, &json!({}))
            .on("GET /metadata", 200, &json!({ "CLUSTER_ID": ID }))
            .on("GET /mesos/master/state-summary", 200, &json!({ "cluster": "home" }))
            .on("POST /acs/api/v1/auth/login", 200, &json!({ "token": "t0k" }));
        drop(cli);
        locked
    };
    let password = cli.settings.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let file = password.to_str().unwrap();
    run(&cli, &["cluster", "setup", &url(&cli), "--username", "ann", "--password-file", file])
        .await
        .ok();
    assert_eq!(cli.gateway.asked("POST").body, json!({ "uid": "ann", "password": "s3cret" }));
    assert_eq!(cli.gateway.asked("GET /mesos").authorization, "token=t0k");
    let shown = run(&cli, &["config", "show"]).await.ok();
    assert!(shown.contains("core.dcos_acs_token ********\n"), "{shown}");
    run(&cli, &["auth", "logout"]).await.ok();
    run(&cli, &["config", "show", "core.dcos_acs_token"]).await.fails(3);
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_login_have_a_code_of_their_own() {
    let cli = open().await;
    run(&cli, &["cluster", "setup", &url(&cli)]).await.ok();
    cli.gateway.on("POST /acs/api/v1/auth/login", 401, &json!({ "title": "Unauthorized" }));
    let login =
        run(&cli, &["auth", "login", "--username", "ann", "--password", "wrong"]).await.fails(5);
    expect![[r#"
        error: ann was not let in: wrong user name or password; try again with: karman auth login
    "#]]
    .assert_eq(&login);
    cli.gateway.on("GET /service/marathon/v2/info", 401, &json!({}));
    expect![[r#"
        error: a login is needed; log in with: karman auth login
    "#]]
    .assert_eq(&run(&cli, &["marathon", "about"]).await.fails(5));
}

#[tokio::test]
async fn something_that_is_no_cluster_is_not_set_up() {
    let cli = Cli::new().await;
    let error = run(&cli, &["cluster", "setup", &url(&cli)]).await.fails(3);
    assert!(error.contains("check that the URL is that of a Karman or DC/OS gateway"), "{error}");
    assert!(
        run(&cli, &["cluster", "setup", "ftp://x"])
            .await
            .fails(2)
            .contains("neither http nor https")
    );
}

#[tokio::test]
async fn settings_are_checked() {
    let cli = open().await;
    run(&cli, &["cluster", "setup", &url(&cli)]).await.ok();
    run(&cli, &["config", "set", "core.timeout", "7"]).await.ok();
    assert_eq!(run(&cli, &["config", "show", "core.timeout", "--json"]).await.json(), json!("7"));
    let error = run(&cli, &["config", "set", "core.timeuot", "7"]).await.fails(2);
    assert_eq!(error, "error: there is no setting 'core.timeuot'; did you mean core.timeout?\n");
    run(&cli, &["config", "set", "core.timeout", "soon"]).await.fails(2);
    run(&cli, &["config", "unset", "core.timeout"]).await.ok();
    run(&cli, &["config", "unset", "core.timeout"]).await.fails(3);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_unreachable() {
    let cli = Cli::new().await;
    // The port was free a moment ago, and nobody listens on it.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error =
        run(&cli, &["node", "list", "--cluster", &format!("http://{closed}")]).await.fails(4);
    assert!(
        error.contains("Connection refused")
            && error.ends_with("start a datacenter with: karmand up\n"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    cli.gateway.on(
        "GET /service/marathon/v2/info",
        503,
        &json!({ "message": "the orchestrator does not answer" }),
    );
    let error = cli.run(&["marathon", "about"]).await.fails(4);
    assert!(
        error.contains("the orchestrator does not answer; this part of the cluster"),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_usage_is_told_apart() {
    let cli = Cli::new().await;
    for arguments in [
        &["frobnicate"][..],
        &["app"],
        &["app", "scale", "web", "-1"],
        &["app", "show", "web", "--bogus"],
    ] {
        assert_eq!(cli.run(arguments).await.code, 2, "{arguments:?}");
    }
    for arguments in
        [&["--help"][..], &["--version"], &["app", "add", "--help"], &["completion", "bash"]]
    {
        let ended = cli.run(arguments).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!ended.stdout.is_empty());
    }
}

#[tokio::test]
async fn requests_are_shown_without_the_token() {
    let cli = Cli::new().await;
    cli.gateway.on("GET /service/marathon/v2/info", 200, &json!({ "version": "1" }));
    let mut command = cli.bare();
    command
        .env("KARMAN_URL", url(&cli))
        .env("DCOS_ACS_TOKEN", "t0k")
        .args(["-vv", "marathon", "about"]);
    let ended = ended(command.output().await.unwrap());
    assert_eq!(cli.gateway.asked("GET").authorization, "token=t0k");
    assert!(
        ended.stderr.contains("> GET ") && ended.stderr.contains("< 200 OK"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("t0k"), "{}", ended.stderr);
}
