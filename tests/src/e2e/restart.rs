use std::collections::BTreeSet;
use std::time::Duration;

use super::{MARK, example, mark, sleeper};
use crate::datacenter::Datacenter;
use crate::eventually::eventually;
use crate::marathon::{GOAL, ids};
use crate::processes;

const APPS: u32 = 20;
const INSTANCES: u32 = 2;

#[tokio::test]
async fn tasks_and_their_processes_survive_a_kill_of_karmand() {
    let mut dc = Datacenter::start().await;
    let mark = mark();
    let mut app = example("web.json");
    app["env"] = serde_json::json!({ MARK: mark });
    dc.marathon().create(&app).await;
    let tasks = ids(&dc.marathon().settled("/web", 3).await);
    let running = processes::of_tasks(MARK, &mark);
    assert_eq!(running.keys().cloned().collect::<BTreeSet<_>>(), tasks);

    dc.kill_9();
    assert_eq!(processes::of_tasks(MARK, &mark), running, "no task dies with karmand");
    dc.start_again().await;
    assert_eq!(ids(&dc.marathon().settled("/web", 3).await), tasks);
    assert_eq!(processes::of_tasks(MARK, &mark), running);

    // The tasks are not only seen but also in its hands again.
    dc.marathon().put("/v2/apps/web", &serde_json::json!({ "instances": 1 })).await.expect(200);
    dc.marathon().settled("/web", 1).await;
    eventually("two of three are gone", GOAL, async || {
        let left = processes::of_tasks(MARK, &mark);
        if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test]
async fn apps_that_deploy_while_karmand_is_killed_reach_their_goal_exactly() {
    let mut dc = Datacenter::start().await;
    let mark = mark();
    for number in 0..APPS {
        dc.marathon().create(&sleeper(&format!("/app-{number}"), INSTANCES, &mark)).await;
    }
    // Killed twice, at a different moment of the deployments.
    for seen in [3, 20] {
        eventually("some tasks run", GOAL, async || {
            let running = processes::of_tasks(MARK, &mark).len();
            if running >= seen { Ok(()) } else { Err(format!("{running} run")) }
        })
        .await;
        dc.kill_9();
        dc.start_again().await;
    }
    let mut known = BTreeSet::new();
    for number in 0..APPS {
        let tasks = dc.marathon().settled(&format!("/app-{number}"), INSTANCES as usize).await;
        known.extend(ids(&tasks));
    }
    assert_eq!(known.len(), (APPS * INSTANCES) as usize);
    eventually("the processes are exactly the known tasks", GOAL, async || {
        let running: BTreeSet<String> = processes::of_tasks(MARK, &mark).into_keys().collect();
        if running == known {
            return Ok(());
        }
        let extra: Vec<_> = running.difference(&known).collect();
        let lost: Vec<_> = known.difference(&running).collect();
        Err(format!("doubled: {extra:?}, lost: {lost:?}"))
    })
    .await;
    // And it stays so: nothing more is launched for an app at its goal.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(processes::of_tasks(MARK, &mark).len(), known.len());
}

#[tokio::test]
async fn what_ended_while_karmand_was_away_is_seen_and_replaced() {
    let mut dc = Datacenter::start().await;
    let mark = mark();
    dc.marathon().create(&sleeper("/sleeper", 3, &mark)).await;
    let before = ids(&dc.marathon().settled("/sleeper", 3).await);
    dc.kill_9();
    let running = processes::of_tasks(MARK, &mark);
    let (ended, pids) = running.first_key_value().unwrap();
    for pid in pids {
        processes::kill_9(*pid);
    }
    dc.start_again().await;
    eventually("the ended task is replaced", GOAL, async || {
        let now: BTreeSet<String> = processes::of_tasks(MARK, &mark).into_keys().collect();
        if now.len() == 3 && !now.contains(ended) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    let after = ids(&dc.marathon().settled("/sleeper", 3).await);
    assert_eq!(after.intersection(&before).count(), 2, "the others run on");
}

#[tokio::test]
async fn an_app_that_is_deleted_leaves_nothing_to_a_restart() {
    let mut dc = Datacenter::start().await;
    let mark = mark();
    dc.marathon().create(&sleeper("/gone", 3, &mark)).await;
    dc.marathon().settled("/gone", 3).await;
    dc.marathon().delete("/v2/apps/gone").await.expect(200);
    dc.kill_9();
    dc.start_again().await;
    eventually("no process is left", GOAL, async || {
        let left = processes::of_tasks(MARK, &mark);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    eventually("the app is gone", GOAL, async || {
        match dc.marathon().get("/v2/apps/gone").await.status {
            404 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}
