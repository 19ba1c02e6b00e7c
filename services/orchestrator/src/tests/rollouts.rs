use super::*;

#[tokio::test]
async fn a_change_rolls_over_within_its_promises() {
    let world = World::new().await;
    let app = json!({
        "id": "/web", "cmd": "serve 1", "instances": 4, "healthChecks": [{"path": "/"}],
        "upgradeStrategy": {"minimumHealthCapacity": 0.75, "maximumOverCapacity": 0.25}});
    world.create(app).await;
    let before = world.running("/web", 4).await;
    assert_eq!(before["tasksHealthy"], 4);
    world.master.lock().history.clear();
    world.ask(Method::PUT, "/v2/apps/web", Some(json!({"cmd": "serve 2"}))).await;
    let after = world.running("/web", 4).await;
    assert!(ids(&after).iter().all(|id| !ids(&before).contains(id)));
    let history = world.master.lock().history.clone();
    assert!(history.iter().all(|(healthy, all)| *healthy >= 3 && *all <= 5), "{history:?}");

    let (status, _) = world.ask(Method::POST, "/v2/apps/web/restart", Some(json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    let restarted = world.running("/web", 4).await;
    assert!(ids(&restarted).iter().all(|id| !ids(&after).contains(id)));
}

#[tokio::test]
async fn a_locked_app_is_left_alone_unless_forced() {
    let world = World::new().await;
    world
        .create(
            json!({"id": "/web", "cmd": "serve", "instances": 2, "healthChecks": [{"path": "/"}]}),
        )
        .await;
    let before = world.running("/web", 2).await;
    let (_, stuck) = world.ask(Method::PUT, "/v2/apps/web", Some(json!({"cmd": "sick"}))).await;
    world.eventually("/v2/apps/web", |body| body["app"]["tasksUnhealthy"] == 2).await;
    let change = Some(json!({"instances": 3}));
    let (status, body) = world.ask(Method::PUT, "/v2/apps/web", change.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["deployments"][0]["id"], stuck["deploymentId"]);
    assert!(body["message"].as_str().unwrap().contains("locked"));
    let deployments = world.get("/v2/deployments").await;
    assert_eq!(deployments[0]["currentActions"][0]["action"], "RestartApplication");
    assert_eq!(
        (&deployments[0]["currentStep"], &deployments[0]["totalSteps"]),
        (&json!(1), &json!(1))
    );

    // Rolled back, the tasks that ran before are the ones that run on.
    let path = format!("/v2/deployments/{}", stuck["deploymentId"].as_str().unwrap());
    let (status, rollback) = world.ask(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(rollback["deploymentId"], stuck["deploymentId"]);
    let after = world.running("/web", 2).await;
    assert_eq!((after["cmd"].clone(), ids(&after)), (json!("serve"), ids(&before)));

    let (_, stuck) = world.ask(Method::PUT, "/v2/apps/web", Some(json!({"cmd": "sick"}))).await;
    let path = format!("/v2/deployments/{}?force=true", stuck["deploymentId"].as_str().unwrap());
    assert_eq!(world.ask(Method::DELETE, &path, None).await.0, StatusCode::ACCEPTED);
    assert_eq!(world.get("/v2/deployments").await, json!([]));
    let (status, _) =
        world.ask(Method::PUT, "/v2/apps/web?force=true", Some(json!({"cmd": "serve 3"}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.running("/web", 2).await["tasksHealthy"], 2);
    assert_eq!(world.master.lock().tasks.len(), 2);
}

#[tokio::test]
async fn users_can_end_tasks() {
    let world = World::new().await;
    world.create(json!({"id": "/web", "cmd": "serve", "instances": 3})).await;
    let tasks = ids(&world.running("/web", 3).await);
    let (status, body) =
        world.ask(Method::DELETE, &format!("/v2/apps/web/tasks/{}", tasks[0]), None).await;
    assert_eq!((status, &body["task"]["id"]), (StatusCode::OK, &json!(tasks[0])));
    let again = tasks[0].replace("._app.1", "._app.2");
    world.eventually("/v2/apps/web", |body| ids(&body["app"]).contains(&again)).await;
    world.running("/web", 3).await;

    let (status, body) = world
        .ask(Method::POST, "/v2/tasks/delete?wipe=true", Some(json!({"ids": [tasks[1]]})))
        .await;
    assert_eq!((status, body["tasks"].as_array().unwrap().len()), (StatusCode::OK, 1));
    world.eventually("/v2/apps/web", |body| !ids(&body["app"]).contains(&tasks[1])).await;
    let left = world.running("/web", 3).await;
    assert!(ids(&left).iter().all(|id| !id.starts_with(tasks[1].trim_end_matches('1'))));

    let (status, body) = world
        .ask(Method::DELETE, &format!("/v2/apps/web/tasks/{}?scale=true", tasks[2]), None)
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let scaled = world.running("/web", 2).await;
    assert_eq!(scaled["instances"], 2);
    assert!(!ids(&scaled).contains(&tasks[2]));

    let (status, _) =
        world.ask(Method::DELETE, "/v2/apps/web/tasks?host=agent7.example", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ids(&world.running("/web", 2).await), ids(&scaled));
    for (path, status) in [
        ("/v2/apps/web/tasks/none", StatusCode::NOT_FOUND),
        ("/v2/apps/web/tasks?scale=true&wipe=true", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(world.ask(Method::DELETE, path, None).await.0, status, "{path}");
    }
}
