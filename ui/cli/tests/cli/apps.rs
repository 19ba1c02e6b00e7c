//! Apps and their deployments.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::Cli;

const APPS: &str = "/service/marathon/v2/apps";
const DEPLOYMENTS: &str = "GET /service/marathon/v2/deployments";

fn web(running: u64) -> Value {
    json!({ "id": "/web", "cmd": "serve", "instances": 2, "cpus": 0.1, "mem": 32, "tasksRunning": running, "tasks": [] })
}

fn deployment() -> Value {
    json!([{
        "id": "d-1", "affectedApps": ["/web"], "currentStep": 1, "totalSteps": 2,
        "currentActions": [{ "action": "ScaleApplication", "app": "/web" }],
    }])
}

fn definition(cli: &Cli, text: &str) -> String {
    let path = cli.settings.path().join("web.json");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_app_is_added_from_a_file() {
    let cli = Cli::new().await;
    let answer = json!({ "id": "/web", "deployments": [{ "id": "d-1" }] });
    cli.gateway.on(&format!("POST {APPS}"), 201, &answer);
    let file = definition(&cli, r#"{"id": "web", "cmd": "serve", "version": "old"}"#);
    expect![[r#"
        /web added; deployment d-1 is under way
        watch it with: karman deployment watch d-1
    "#]]
    .assert_eq(&cli.run(&["app", "add", &file]).await.ok());
    assert_eq!(cli.gateway.asked("POST").body, json!({ "id": "web", "cmd": "serve" }));
    assert_eq!(cli.run(&["marathon", "app", "add", &file, "--json"]).await.json(), answer);
}

#[tokio::test]
async fn an_app_is_added_from_stdin_and_from_a_url() {
    let cli = Cli::new().await;
    cli.gateway.on(
        &format!("POST {APPS}"),
        201,
        &json!({ "id": "/web", "deployments": [{ "id": "d-1" }] }),
    );
    cli.pipe(&["app", "add"], r#"{"id": "piped"}"#).await.ok();
    assert_eq!(cli.gateway.asked("POST").body, json!({ "id": "piped" }));
    cli.gateway.on("GET /web.json", 200, &json!({ "id": "fetched" }));
    cli.run(&["app", "add", &format!("{}/web.json", cli.gateway.url)]).await.ok();
    assert_eq!(cli.gateway.asked("POST").body, json!({ "id": "fetched" }));
}

#[tokio::test]
async fn waiting_ends_when_the_deployment_is_gone() {
    let cli = Cli::new().await;
    cli.gateway
        .on(
            &format!("POST {APPS}"),
            201,
            &json!({ "id": "/web", "deployments": [{ "id": "d-1" }] }),
        )
        .on(DEPLOYMENTS, 200, &deployment())
        .on(DEPLOYMENTS, 200, &deployment())
        .on(DEPLOYMENTS, 200, &json!([]))
        .on(&format!("GET {APPS}/web"), 200, &json!({ "app": web(2) }));
    let file = definition(&cli, r#"{"id": "web"}"#);
    assert_eq!(
        cli.run(&["app", "add", &file, "--wait"]).await.ok(),
        "/web added: 2 of 2 instances running\n"
    );
}

#[tokio::test]
async fn waiting_has_a_limit_and_tells_the_cause() {
    let cli = Cli::new().await;
    let failed = json!({ "state": "TASK_FAILED", "host": "n1", "message": "no such file", "timestamp": "x" });
    let mut app = web(0);
    app["lastTaskFailure"] = failed;
    cli.gateway
        .on(&format!("GET {APPS}/web"), 200, &json!({ "app": app }))
        .on(&format!("PUT {APPS}/web"), 200, &json!({ "deploymentId": "d-1", "version": "v" }))
        .on(DEPLOYMENTS, 200, &deployment())
        .on(
            "GET /service/marathon/v2/queue",
            200,
            &json!({ "queue": [{ "app": { "id": "/web" }, "count": 2 }] }),
        );
    let error =
        cli.run(&["app", "scale", "web", "2", "--wait", "--timeout", "200ms"]).await.fails(6);
    expect![[r#"
        error: deployment d-1 is not done after 0s (step 1/2: scale /web); see: karman marathon debug summary /web
          pending: no offer has arrived yet
          last failure: TASK_FAILED x on n1: no such file
    "#]].assert_eq(&error);
}

#[tokio::test]
async fn a_deployment_that_did_not_reach_its_goal_is_a_failure() {
    let cli = Cli::new().await;
    cli.gateway
        .on(&format!("POST {APPS}/web/restart"), 200, &json!({ "deploymentId": "d-1" }))
        .on(DEPLOYMENTS, 200, &json!([]))
        .on("GET /service/marathon/v2/queue", 200, &json!({ "queue": [] }))
        .on(&format!("GET {APPS}/web"), 200, &json!({ "app": web(1) }));
    let error = cli.run(&["app", "restart", "web", "--wait"]).await.fails(1);
    expect![[r#"
        error: the deployment of /web ended before its goal: 1 of 2 instances running; see: karman marathon debug summary /web
    "#]].assert_eq(&error);
}

#[tokio::test]
async fn every_violated_rule_is_printed() {
    let cli = Cli::new().await;
    let refusal = json!({ "message": "Object is not valid", "details": [
        { "path": "/cpus", "errors": ["must be at least 0.001"] }, { "path": "/id", "errors": ["is missing"] },
    ] });
    cli.gateway.on(&format!("POST {APPS}"), 422, &refusal);
    let error = cli.pipe(&["app", "add"], "{}").await.fails(1);
    expect![[r#"
        error: Object is not valid
          /cpus: must be at least 0.001
          /id: is missing
    "#]]
    .assert_eq(&error);
}

#[tokio::test]
async fn what_cannot_be_an_app_is_never_sent() {
    let cli = Cli::new().await;
    for (input, said) in [
        ("{\"id\": ", "stdin is not valid JSON: EOF"),
        ("", "stdin is not valid JSON"),
        ("[]", "this is a list, not an app"),
        ("{\"groups\": []}", "this is a group, not an app"),
        ("3", "an app is a JSON object"),
    ] {
        let error = cli.pipe(&["app", "add"], input).await.fails(2);
        assert!(error.contains(said), "{error}");
    }
    let error = cli.run(&["app", "add", "/does/not/exist"]).await.fails(2);
    assert!(error.contains("cannot read /does/not/exist"), "{error}");
    assert_eq!(cli.gateway.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn an_app_that_exists_or_is_locked_is_refused_with_a_remedy() {
    let cli = Cli::new().await;
    cli.gateway.on(
        &format!("POST {APPS}"),
        409,
        &json!({ "message": "An app with id [/web] already exists." }),
    );
    expect![[r#"
        error: An app with id [/web] already exists; change it with: karman app update /web
    "#]]
    .assert_eq(&cli.pipe(&["app", "add"], r#"{"id":"web"}"#).await.fails(1));
    let locked = json!({ "message": "App is locked", "deployments": [{ "id": "d-1" }] });
    cli.gateway.on(&format!("DELETE {APPS}/web"), 409, &locked);
    expect![[r#"
        error: the app is locked by deployment d-1; wait for it (karman deployment watch d-1) or override it with --force
    "#]].assert_eq(&cli.run(&["app", "remove", "web"]).await.fails(1));
    assert_eq!(cli.gateway.asked("DELETE").line, format!("DELETE {APPS}/web?force=false"));
}

#[tokio::test]
async fn an_unknown_app_is_not_found() {
    let cli = Cli::new().await;
    let unknown = json!({ "message": "App '/web' does not exist" });
    for line in ["GET", "PUT", "DELETE"] {
        cli.gateway.on(&format!("{line} {APPS}/web"), 404, &unknown);
    }
    cli.gateway.on(&format!("POST {APPS}/web/restart"), 404, &unknown);
    for command in [
        &["app", "show", "web"][..],
        &["app", "scale", "web", "2"],
        &["app", "update", "/web", "mem=1"],
        &["app", "stop", "/web/"],
        &["app", "restart", "web"],
        &["app", "remove", "web"],
    ] {
        let error = cli.run(command).await.fails(3);
        assert_eq!(
            error, "error: App '/web' does not exist; see the apps with: karman app list\n",
            "{command:?}"
        );
    }
    assert!(
        !cli.gateway.lines().iter().any(|line| line.starts_with("PUT")),
        "an update must not create"
    );
}

#[tokio::test]
async fn apps_are_listed() {
    let cli = Cli::new().await;
    cli.gateway.on(&format!("GET {APPS}"), 200, &json!({ "apps": [web(2)] })).on(
        "GET /service/marathon/v2/queue",
        200,
        &json!({ "queue": [] }),
    );
    expect![[r#"
        ID    MEM  CPUS  TASKS  HEALTH  DEPLOYMENT  WAITING  CONTAINER  CMD
        /web  32   0.1   2/2    -       -           -        mesos      serve
    "#]]
    .assert_eq(&cli.run(&["app", "list"]).await.ok());
    assert_eq!(cli.run(&["app", "list", "--json"]).await.json(), json!([web(2)]));
    assert_eq!(cli.run(&["app", "ls", "-q"]).await.ok(), "/web\n");
}

#[tokio::test]
async fn an_update_changes_what_was_named() {
    let cli = Cli::new().await;
    let mut app = web(2);
    app["env"] = json!({ "A": "1" });
    cli.gateway.on(&format!("GET {APPS}/web"), 200, &json!({ "app": app })).on(
        &format!("PUT {APPS}/web"),
        200,
        &json!({ "deploymentId": "d-1", "version": "v" }),
    );
    cli.run(&["app", "update", "web", "instances=3", "env.B=2", "--force"]).await.ok();
    let asked = cli.gateway.asked("PUT");
    assert_eq!(asked.line, format!("PUT {APPS}/web?force=true"));
    assert_eq!(asked.body, json!({ "instances": 3, "env": { "A": "1", "B": "2" }, "id": "/web" }));
    cli.pipe(&["app", "update", "web"], &web(2).to_string()).await.ok();
    assert_eq!(
        cli.gateway.asked("PUT").body,
        json!({ "id": "/web", "cmd": "serve", "instances": 2, "cpus": 0.1, "mem": 32 })
    );
    assert!(cli.run(&["app", "update", "web", "instances"]).await.fails(2).contains("name=value"));
}

#[tokio::test]
async fn versions_are_newest_first() {
    let cli = Cli::new().await;
    cli.gateway.on(
        &format!("GET {APPS}/web/versions"),
        200,
        &json!({ "versions": ["2026-01-01", "2026-01-02"] }),
    );
    assert_eq!(cli.run(&["app", "version", "list", "web"]).await.ok(), "2026-01-02\n2026-01-01\n");
    let newest =
        cli.run(&["app", "version", "list", "web", "--max-count", "1", "--json"]).await.json();
    assert_eq!(newest, json!(["2026-01-02"]));
}

#[tokio::test]
async fn deployments_are_listed_watched_and_ended() {
    let cli = Cli::new().await;
    cli.gateway.on(DEPLOYMENTS, 200, &deployment());
    expect![[r#"
        APPS  DOING       STEP  ID
        /web  scale /web  1/2   d-1
    "#]]
    .assert_eq(&cli.run(&["deployment", "list"]).await.ok());
    assert_eq!(cli.run(&["deployment", "list", "other", "-q"]).await.ok(), "");
    let path = "DELETE /service/marathon/v2/deployments/d-1";
    cli.gateway.on(path, 200, &json!({ "deploymentId": "d-2", "version": "v" })).on(
        path,
        202,
        &Value::Null,
    );
    assert!(
        cli.run(&["deployment", "rollback", "d-1"]).await.ok().contains("undone by deployment d-2")
    );
    cli.run(&["deployment", "stop", "d-1"]).await.ok();
    assert_eq!(cli.gateway.asked("DELETE").line, format!("{path}?force=true"));
    assert!(
        cli.run(&["deployment", "watch", "d-9"])
            .await
            .fails(3)
            .contains("no deployment d-9 is running")
    );
    assert!(
        cli.run(&["deployment", "watch", "d-1", "--timeout", "1ms"])
            .await
            .fails(6)
            .contains("d-1 is not done")
    );
}

#[tokio::test]
async fn a_watched_deployment_succeeds_only_at_its_goal() {
    let stop = json!([{ "actions": [{ "action": "StopApplication", "app": "/web" }] }]);
    let mut newer = web(2);
    newer["version"] = json!("2026-01-02");
    let mut mixed = web(2);
    mixed["versionInfo"] = json!({ "lastConfigChangeAt": "2026-01-02" });
    mixed["tasks"] = json!([{ "version": "2026-01-01" }, { "version": "2026-01-02" }]);
    for (steps, app, missed) in [
        (json!([]), Some(web(2)), None),
        (stop.clone(), None, None),
        (json!([]), Some(web(1)), Some("/web has 1 of 2 instances running")),
        (json!([]), Some(mixed), Some("/web still has 1 of its old instances")),
        (json!([]), Some(newer), Some("changed again or changed back")),
        (json!([]), None, Some("/web was removed")),
        (stop, Some(web(2)), Some("/web is still there")),
    ] {
        let cli = Cli::new().await;
        let mut running = deployment();
        running[0]["steps"] = steps;
        cli.gateway.on(DEPLOYMENTS, 200, &running).on(DEPLOYMENTS, 200, &json!([]));
        match app {
            Some(app) => {
                cli.gateway.on(&format!("GET {APPS}/web"), 200, &json!({ "app": app }));
            }
            None => {
                cli.gateway.on(&format!("GET {APPS}/web"), 404, &json!({ "message": "no" }));
            }
        }
        let ended = cli.run(&["deployment", "watch", "d-1"]).await;
        match missed {
            None => assert_eq!(ended.ok(), "deployment d-1 has ended\n"),
            Some(why) => {
                let said = ended.fails(1);
                assert!(said.contains(why), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_pending_is_explained() {
    let cli = Cli::new().await;
    let item = json!({ "app": { "id": "/web" }, "count": 1, "since": "2026-11-22T03:59:59.000Z",
        "processedOffersSummary": { "processedOffersCount": 3,
            "rejectSummaryLastOffers": [{ "reason": "InsufficientCpus", "declined": 2, "processed": 2 }] } });
    cli.gateway.on("GET /service/marathon/v2/queue", 200, &json!({ "queue": [item] })).on(
        &format!("GET {APPS}/web"),
        200,
        &json!({ "app": web(1) }),
    );
    let document = cli.run(&["marathon", "debug", "summary", "web", "--json"]).await.json();
    assert_eq!(document["reason"], "not enough cpus on 2 of 2 offers");
    assert!(cli.run(&["marathon", "debug", "list"]).await.ok().contains("not enough cpus"));
    assert!(
        cli.run(&["marathon", "debug", "details", "other"])
            .await
            .fails(3)
            .contains("nothing of /other waits")
    );
}

#[tokio::test]
async fn marathon_tasks_are_killed_by_id() {
    let cli = Cli::new().await;
    let tasks = json!({ "tasks": [{ "id": "web.1", "appId": "/web", "state": "TASK_RUNNING" }] });
    cli.gateway.on("GET /service/marathon/v2/tasks", 200, &tasks).on(
        "POST /service/marathon/v2/tasks/delete",
        200,
        &json!({ "tasks": [] }),
    );
    assert!(cli.run(&["marathon", "task", "list"]).await.ok().contains("web.1"));
    cli.run(&["marathon", "task", "stop", "web.1", "--wipe"]).await.ok();
    let asked = cli.gateway.asked("POST");
    assert_eq!(asked.line, "POST /service/marathon/v2/tasks/delete?wipe=true");
    assert_eq!(asked.body, json!({ "ids": ["web.1"] }));
    assert!(
        cli.run(&["marathon", "task", "show", "web.2"])
            .await
            .fails(3)
            .contains("'web.2' does not exist")
    );
}
