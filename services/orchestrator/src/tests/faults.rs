use karman_api::mesos::v1::TaskState;

use super::*;

#[tokio::test]
async fn a_task_that_fails_waits_longer_each_time_and_says_why() {
    let world = World::new().await;
    world.create(json!({"id": "/bad", "cmd": "fail now", "backoffSeconds": 60})).await;
    let queue =
        world.eventually("/v2/queue", |body| body["queue"][0]["delay"]["overdue"] == false).await;
    let item = &queue["queue"][0];
    assert_eq!((&item["app"]["id"], &item["count"]), (&json!("/bad"), &json!(1)));
    assert!((55..=60).contains(&item["delay"]["timeLeftSeconds"].as_u64().unwrap()));
    let app = world.get("/v2/apps/bad").await["app"].clone();
    assert_eq!(app["lastTaskFailure"]["message"], "Command exited with status 127");
    assert_eq!(app["lastTaskFailure"]["state"], "TASK_FAILED");
    assert_eq!(world.master.lock().launched.len(), 1);

    assert_eq!(
        world.ask(Method::DELETE, "/v2/queue/bad/delay", None).await.0,
        StatusCode::NO_CONTENT
    );
    world
        .eventually("/v2/apps/bad", |body| {
            body["app"]["lastTaskFailure"]["taskId"].as_str().unwrap().ends_with("._app.2")
        })
        .await;
    assert_eq!(world.master.lock().launched.len(), 2);
}

#[tokio::test]
async fn a_task_that_dies_is_replaced() {
    let world = World::new().await;
    world.create(json!({"id": "/web", "cmd": "serve", "instances": 2, "backoffSeconds": 0})).await;
    let tasks = ids(&world.running("/web", 2).await);
    world.master.lock().end(&tasks[0], TaskState::TaskFailed, "signal 9");
    world
        .eventually("/v2/apps/web", |body| {
            ids(&body["app"]).contains(&tasks[0].replace("_app.1", "_app.2"))
        })
        .await;

    // An agent that is cut off is replaced at once; its task is not welcome back.
    let lost = tasks[1].clone();
    world.master.lock().change(&lost, TaskState::TaskUnreachable, None);
    world
        .eventually("/v2/apps/web", |body| {
            !ids(&body["app"]).contains(&lost) && body["app"]["tasksRunning"] == 2
        })
        .await;
    world.master.lock().change(&lost, TaskState::TaskRunning, None);
    wait(|| world.master.lock().kills.contains(&lost)).await;
    assert_eq!(world.running("/web", 2).await["tasksRunning"], 2);
}

#[tokio::test]
async fn what_does_not_fit_waits_with_the_reason() {
    let world = World::new().await;
    world.create(json!({"id": "/big", "cmd": "serve", "cpus": 1000})).await;
    let path = "/v2/queue?embed=lastUnusedOffers";
    let queue = world
        .eventually(path, |body| {
            body["queue"][0]["processedOffersSummary"]["unusedOffersCount"] == 2
        })
        .await;
    let item = &queue["queue"][0];
    assert_eq!(item["lastUnusedOffers"][0]["reason"], json!(["InsufficientCpus"]));
    let last = item["processedOffersSummary"]["rejectSummaryLastOffers"].as_array().unwrap();
    let cpus = last.iter().find(|one| one["reason"] == "InsufficientCpus").unwrap();
    assert_eq!((&cpus["declined"], &cpus["processed"]), (&json!(2), &json!(2)));
    assert_eq!(item["delay"], json!({"timeLeftSeconds": 0, "overdue": true}));
    world.ask(Method::PUT, "/v2/apps/big?force=true", Some(json!({"cpus": 1}))).await;
    world.running("/big", 1).await;
    wait(|| world.master.lock().suppressed).await;
}

#[tokio::test]
async fn a_restart_loses_and_doubles_nothing() {
    let mut world = World::new().await;
    world.create(json!({"id": "/old", "cmd": "serve", "instances": 2})).await;
    let old = ids(&world.running("/old", 2).await);
    // Launches of this one are lost on their way to the master.
    world.master.lock().lose_launches = true;
    world.create(json!({"id": "/lost", "cmd": "serve", "instances": 2})).await;
    wait(|| world.master.lock().launched.len() == 4).await;
    // These are launched but have not come to life.
    world.master.lock().lose_launches = false;
    world.create(json!({"id": "/slow", "cmd": "hang", "instances": 2})).await;
    wait(|| world.master.lock().launched.len() == 6).await;
    world.stop().await;

    let slow: Vec<String> = {
        let mut master = world.master.lock();
        assert_eq!(master.framework.as_deref(), Some("framework-1"));
        let slow =
            master.tasks.keys().filter(|id| id.starts_with("slow")).cloned().collect::<Vec<_>>();
        for id in &slow {
            master.change(id, TaskState::TaskRunning, None);
        }
        // Somebody else's leftover under this framework's name.
        let stray = master.launched[0].clone();
        let stray = karman_api::mesos::v1::TaskInfo {
            task_id: karman_api::mesos::v1::TaskId { value: "gone.instance-0._app.1".into() },
            ..stray
        };
        master.tasks.insert(
            "gone.instance-0._app.1".into(),
            master::Running { info: stray, state: TaskState::TaskRunning, healthy: None },
        );
        slow
    };
    world.start().await;
    assert_eq!(world.master.lock().framework.as_deref(), Some("framework-1"));
    assert_eq!(ids(&world.running("/slow", 2).await), slow);
    assert_eq!(ids(&world.running("/old", 2).await), old);
    world.running("/lost", 2).await;
    wait(|| world.master.lock().kills == ["gone.instance-0._app.1"]).await;
    let master = world.master.lock();
    assert_eq!(master.tasks.len(), 6);
    assert_eq!(master.launched.len(), 8, "only what was lost is launched again");
}

#[tokio::test]
async fn deployments_go_on_after_a_restart() {
    let mut world = World::new().await;
    world
        .create(
            json!({"id": "/web", "cmd": "serve", "instances": 2, "healthChecks": [{"path": "/"}]}),
        )
        .await;
    world.running("/web", 2).await;
    let (_, stuck) = world.ask(Method::PUT, "/v2/apps/web", Some(json!({"cmd": "sick"}))).await;
    world.eventually("/v2/apps/web", |body| body["app"]["tasksUnhealthy"] == 2).await;
    world.ask(Method::DELETE, "/v2/apps/web/tasks/none", None).await;
    world.stop().await;
    world.start().await;
    let deployments = world.get("/v2/deployments").await;
    assert_eq!(deployments[0]["id"], stuck["deploymentId"]);
    let sick: Vec<String> = {
        let master = world.master.lock();
        master
            .tasks
            .iter()
            .filter(|(_, task)| task.healthy == Some(false))
            .map(|(id, _)| id.clone())
            .collect()
    };
    for id in &sick {
        world.master.lock().change(id, TaskState::TaskRunning, Some(true));
    }
    assert_eq!(ids(&world.running("/web", 2).await), sick);
}

#[tokio::test]
async fn a_framework_that_was_torn_down_registers_anew() {
    let world = World::new().await;
    world.create(json!({"id": "/web", "cmd": "serve", "instances": 2})).await;
    let before = ids(&world.running("/web", 2).await);
    world.master.lock().tear_down();
    world.eventually("/v2/info", |body| body["frameworkId"] == "framework-2").await;
    wait(|| world.master.lock().tasks.len() == 2).await;
    let after = world.running("/web", 2).await;
    assert!(ids(&after).iter().all(|id| !before.contains(id)));
}

#[tokio::test]
async fn a_connection_that_breaks_is_opened_again() {
    let world = World::new().await;
    world.create(json!({"id": "/web", "cmd": "serve", "instances": 2})).await;
    let before = ids(&world.running("/web", 2).await);
    world.master.lock().user_agent = None;
    world.create(json!({"id": "/more", "cmd": "serve"})).await;
    world.running("/more", 1).await;
    assert_eq!(ids(&world.running("/web", 2).await), before);
    assert_eq!(world.master.lock().launched.len(), 3);
}

async fn wait(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "the condition never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
