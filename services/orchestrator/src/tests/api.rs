use super::*;

#[tokio::test]
async fn an_app_is_created_and_runs() {
    let world = World::new().await;
    let app =
        json!({"id": "shop/web", "cmd": "serve $PORT0", "instances": 3, "labels": {"team": "a"}});
    let response = world.send(Method::POST, "/v2/apps/", Some(app.clone())).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let headers = response.headers().clone();
    assert_eq!(headers["location"], "/v2/apps/shop/web");
    assert!(
        headers.contains_key("marathon-deployment-id") && headers.contains_key("x-marathon-leader")
    );
    assert_eq!(headers["cache-control"], "no-cache, no-store, must-revalidate");
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        (&body["id"], &body["tasks"], &body["tasksRunning"]),
        (&json!("/shop/web"), &json!([]), &json!(0))
    );
    assert_eq!(body["deployments"][0]["id"], headers["marathon-deployment-id"].to_str().unwrap());

    let running = world.running("/shop/web", 3).await;
    let hosts: Vec<&str> = running["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["host"].as_str().unwrap())
        .collect();
    assert!(hosts.contains(&"agent0.example") && hosts.contains(&"agent1.example"), "{hosts:?}");
    assert_eq!(running["tasks"][0]["state"], "TASK_RUNNING");
    assert_eq!(running["tasks"][0]["servicePorts"], json!([10_000]));
    assert!(
        running["version"].is_string()
            && running["versionInfo"]["lastConfigChangeAt"] == running["version"]
    );
    let launched = world.master.lock().launched[0].clone();
    let environment = launched.command.unwrap().environment.unwrap().variables;
    let port = environment.iter().find(|one| one.name == "PORT0").and_then(|one| one.value.clone());
    assert!(port.is_some_and(|port| (31_000..=32_000).contains(&port.parse::<u32>().unwrap())));

    let list = world.get("/v2/apps").await;
    assert_eq!(list["apps"][0]["tasksRunning"], 3);
    assert!(list["apps"][0].get("tasks").is_none());
    assert_eq!(
        world.get("/v2/apps?embed=apps.tasks").await["apps"][0]["tasks"].as_array().unwrap().len(),
        3
    );
    for (query, count) in
        [("label=team==a", 1), ("label=team!=a", 0), ("id=SHOP", 1), ("cmd=serve", 1), ("cmd=x", 0)]
    {
        assert_eq!(
            world.get(&format!("/v2/apps?{query}")).await["apps"].as_array().unwrap().len(),
            count,
            "{query}"
        );
    }
    assert_eq!(world.get("/v2/apps//shop/web/tasks").await["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(world.get("/v2/apps/shop/*").await["*"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/v2/tasks?status=running").await["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(world.get("/v2/tasks?status=staging").await["tasks"], json!([]));
    assert_eq!(world.get("/v2/queue").await["queue"], json!([]));
    assert_eq!(world.get("/v2/groups").await["groups"][0]["apps"][0]["id"], "/shop/web");

    let (status, body) = world.ask(Method::POST, "/v2/apps", Some(app)).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::CONFLICT, &json!("An app with id [/shop/web] already exists."))
    );
    assert!(world.master.lock().acknowledged >= 6);
}

#[tokio::test]
async fn apps_are_scaled_changed_and_deleted() {
    let world = World::new().await;
    world.create(json!({"id": "/web", "cmd": "serve", "instances": 1})).await;
    let first = world.running("/web", 1).await;
    let update = json!({"id": "/web", "instances": 4, "ports": null, "dependencies": null});
    let (status, result) = world.ask(Method::PUT, "/v2/apps//web", Some(update)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(result["deploymentId"].is_string() && result["version"].is_string());
    let scaled = world.running("/web", 4).await;
    assert!(ids(&scaled).contains(&ids(&first)[0]));
    assert_eq!(scaled["versionInfo"]["lastConfigChangeAt"], first["version"]);

    world.ask(Method::PUT, "/v2/apps/web", Some(json!({"instances": 0}))).await;
    world.running("/web", 0).await;
    assert!(world.master.lock().tasks.is_empty());

    let versions = world.get("/v2/apps/web/versions").await["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 3);
    let oldest = versions[2].as_str().unwrap();
    assert_eq!(world.get(&format!("/v2/apps/web/versions/{oldest}")).await["instances"], 1);
    world.ask(Method::PUT, "/v2/apps/web", Some(json!({"version": oldest}))).await;
    world.running("/web", 1).await;

    let (status, _) = world.ask(Method::DELETE, "/v2/apps/web", None).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = world.ask(Method::GET, "/v2/apps/web", None).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::NOT_FOUND, &json!("App '/web' does not exist"))
    );
    world.eventually("/v2/deployments", |body| *body == json!([])).await;
    assert!(world.master.lock().tasks.is_empty());
}

#[tokio::test]
async fn bad_requests_are_answered_with_every_reason() {
    let world = World::new().await;
    let bad = json!({"id": "/Web", "cmd": "ls -l", "cpus": -1, "constraints": [["a", "LIKE", "("]], "secrets": {"a": 1}});
    let (status, body) = world.ask(Method::POST, "/v2/apps", Some(bad)).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("Object is not valid"))
    );
    let paths: Vec<&str> = body["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/secrets", "/id", "/cpus"]);
    let regex = json!({"id": "/web", "cmd": "ls -l", "constraints": [["a", "LIKE", "("]]});
    let (status, body) = world.ask(Method::POST, "/v2/apps", Some(regex)).await;
    assert_eq!(
        (status, &body["details"][0]["path"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/constraints(0)"))
    );

    let malformed =
        world.http.post(format!("{}/v2/apps", world.base)).body("{\"id\":").send().await.unwrap();
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    assert_eq!(malformed.json::<Value>().await.unwrap()["message"], "Invalid JSON");
    for (method, path, status) in [
        (Method::GET, "/v2/apps/none", 404),
        (Method::PATCH, "/v2/apps/none", 404),
        (Method::DELETE, "/v2/apps/none", 404),
        (Method::POST, "/v2/apps/none/restart", 404),
        (Method::DELETE, "/v2/deployments/none", 404),
        (Method::DELETE, "/v2/queue/none/delay", 404),
        (Method::GET, "/v2/groups/none", 404),
        (Method::GET, "/v2/nothing", 404),
        (Method::POST, "/v2/info", 405),
        (Method::GET, "/v2/events", 405),
        (Method::HEAD, "/v2/pods", 501),
    ] {
        let body = (method == Method::PATCH).then(|| json!({"instances": 1}));
        assert_eq!(
            world.send(method.clone(), path, body).await.status().as_u16(),
            status,
            "{method} {path}"
        );
    }
    let circle = json!([
        {"id": "/a", "cmd": "ls -l", "dependencies": ["/b"]}, {"id": "/b", "cmd": "ls -l", "dependencies": ["/a"]}]);
    let (status, body) = world.ask(Method::PUT, "/v2/apps", Some(circle)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!(world.get("/v2/apps").await["apps"], json!([]));
}

#[tokio::test]
async fn clients_find_what_they_ask_about_the_system() {
    let world = World::new().await;
    let info = world.get("/v2/info").await;
    assert_eq!((&info["name"], &info["frameworkId"]), (&json!("marathon"), &json!("framework-1")));
    for key in ["marathon_config", "zookeeper_config", "http_config"] {
        assert!(info[key].is_object(), "{key}");
    }
    assert!(world.get("/v2/leader").await["leader"].as_str().unwrap().contains(':'));
    assert_eq!(world.send(Method::GET, "/ping", None).await.text().await.unwrap(), "pong");
    assert!(
        world.get("/metrics").await["gauges"]["marathon.apps.active.gauge"]["value"].is_number()
    );
    let jobs = world.http.get(format!("{}/v1/jobs", world.metronome)).send().await.unwrap();
    assert_eq!(jobs.json::<Value>().await.unwrap(), json!([]));
    let job =
        world.http.post(format!("{}/v1/jobs", world.metronome)).body("{}").send().await.unwrap();
    assert_eq!(job.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn groups_are_deployed_in_the_order_of_their_dependencies() {
    let world = World::new().await;
    let group = json!({"id": "/shop", "groups": [
        {"id": "front", "dependencies": ["/shop/data"], "apps": [{"id": "web", "cmd": "serve"}]},
        {"id": "data", "apps": [{"id": "db", "cmd": "store"}]}]});
    let (status, body) = world.ask(Method::POST, "/v2/groups", Some(group.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    world.running("/shop/front/web", 1).await;
    let names: Vec<String> =
        world.master.lock().launched.iter().map(|task| task.name.clone()).collect();
    assert_eq!(names, ["db.data.shop", "web.front.shop"]);
    let (status, _) = world.ask(Method::POST, "/v2/groups", Some(group)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    world.ask(Method::PUT, "/v2/groups/shop", Some(json!({"scaleBy": 2}))).await;
    world.running("/shop/data/db", 2).await;
    let (status, _) = world.ask(Method::DELETE, "/v2/groups/shop?force=true", None).await;
    assert_eq!(status, StatusCode::OK);
    world.eventually("/v2/deployments", |body| *body == json!([])).await;
    assert_eq!(world.get("/v2/groups").await["groups"], json!([]));
}

#[tokio::test]
async fn events_are_streamed_filtered_and_replayed() {
    let world = World::new().await;
    let stream = |query: &str, last: Option<&str>| {
        let mut request = world
            .http
            .get(format!("{}/v2/events{query}", world.base))
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send()
    };
    let mut events = stream("", None).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    world.create(json!({"id": "/web", "cmd": "serve"})).await;
    let mut text = String::new();
    while !text.contains("deployment_success") {
        text.push_str(std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap());
    }
    let mut kinds: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds[0], "event_stream_attached");
    kinds.dedup();
    for kind in [
        "api_post_event",
        "deployment_info",
        "status_update_event",
        "instance_changed_event",
        "deployment_step_success",
        "deployment_success",
    ] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let first = text.lines().next().and_then(|line| line.strip_prefix("id: ")).unwrap();
    let mut again = stream("?event_type=deployment_success", Some(first)).await.unwrap();
    let replayed = again.chunk().await.unwrap().unwrap();
    let replayed = std::str::from_utf8(&replayed).unwrap();
    let data = replayed.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&data["eventType"], data["plan"]["steps"].as_array().unwrap().len()),
        (&json!("deployment_success"), 2)
    );
}
