use serde_json::json;

use super::{MARK, example, mark, sleeper};
use crate::datacenter::Datacenter;
use crate::eventually::eventually;
use crate::marathon::{GOAL, ids};
use crate::processes;

#[tokio::test]
async fn a_killed_process_is_replaced() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    let mark = mark();
    let mut app = example("web.json");
    app["env"] = json!({ MARK: mark });
    marathon.create(&app).await;
    let before = ids(&marathon.settled("/web", 3).await);
    let running = processes::of_tasks(MARK, &mark);
    assert_eq!(running.keys().cloned().collect::<std::collections::BTreeSet<_>>(), before);
    let (killed, pids) = running.first_key_value().unwrap();
    for pid in pids {
        processes::kill_9(*pid);
    }
    eventually("the killed task is replaced", GOAL, async || {
        let app =
            marathon.get("/v2/apps/web?embed=app.tasks&embed=app.counts").await.body["app"].clone();
        let now = ids(app["tasks"].as_array().map_or(&[], Vec::as_slice));
        if app["tasksHealthy"] == json!(3) && !now.contains(killed) && now.len() == 3 {
            Ok(())
        } else {
            Err(format!("{app:#}"))
        }
    })
    .await;
    let failure = marathon.get("/v2/apps/web?embed=app.lastTaskFailure").await.expect(200);
    let failure = &failure["app"]["lastTaskFailure"];
    assert_eq!(failure["taskId"], json!(killed), "{failure:#}");
    assert_eq!(failure["state"], "TASK_FAILED", "{failure:#}");
}

#[tokio::test]
async fn a_command_that_does_not_exist_shows_why_and_backs_off() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    let mut app = sleeper("/missing", 1, &mark());
    app["cmd"] = json!("exec /no/such/program");
    app["backoffSeconds"] = json!(5);
    marathon.create(&app).await;
    eventually("the failure is shown", GOAL, async || {
        let app =
            marathon.get("/v2/apps/missing?embed=app.lastTaskFailure").await.body["app"].clone();
        let failure = app["lastTaskFailure"].clone();
        let shown = failure["state"] == "TASK_FAILED"
            && failure["message"].as_str().is_some_and(|text| !text.is_empty());
        if shown { Ok(()) } else { Err(format!("{app:#}")) }
    })
    .await;
    eventually("the queue shows the delay", GOAL, async || {
        let queue = marathon.get("/v2/queue").await.expect(200);
        let item = &queue["queue"][0];
        let delayed = item["app"]["id"] == "/missing"
            && item["delay"]["timeLeftSeconds"].as_u64().is_some_and(|left| left > 0);
        if delayed { Ok(()) } else { Err(format!("{queue:#}")) }
    })
    .await;
}
