use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::example;
use crate::datacenter::Datacenter;
use crate::marathon::{addresses, ids};

/// What one look at the app saw.
#[derive(Debug)]
struct Sample {
    /// As the API says.
    healthy: u64,
    /// Tasks whose health is reported good but that did not answer.
    silent: Vec<String>,
}

#[tokio::test]
async fn a_changed_command_rolls_over_and_keeps_the_promised_instances() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    marathon.create(&example("web.json")).await;
    let before = ids(&marathon.settled("/web", 3).await);

    let over = Arc::new(AtomicBool::new(false));
    let watcher =
        tokio::spawn(watch(dc.ready.marathon.clone(), dc.http.clone(), Arc::clone(&over)));
    let mut changed = example("web.json");
    changed["cmd"] = json!(
        "mkdir new && cd new && echo changed > index.html && exec python3 -m http.server $PORT0"
    );
    let deployment =
        marathon.put("/v2/apps/web", &changed).await.expect(200)["deploymentId"].clone();
    marathon.deployed(deployment.as_str().unwrap()).await;
    let tasks = marathon.settled("/web", 3).await;
    over.store(true, Ordering::Relaxed);

    let samples = watcher.await.unwrap();
    assert!(samples.len() > 3, "only {} samples were taken", samples.len());
    for sample in &samples {
        assert!(sample.healthy >= 3, "fewer healthy instances than promised: {sample:?}");
        assert!(
            sample.silent.is_empty(),
            "instances counted as healthy did not answer: {sample:?}"
        );
    }
    assert!(ids(&tasks).is_disjoint(&before), "every instance is a new one");
    for address in addresses(&tasks) {
        let text =
            dc.http.get(format!("http://{address}/")).send().await.unwrap().text().await.unwrap();
        assert_eq!(text, "changed\n");
    }
    let versions = marathon.get("/v2/apps/web/versions").await.expect(200);
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(2), "{versions:#}");
}

/// Looks at the app again and again until told that it is over.
async fn watch(base: String, http: reqwest::Client, over: Arc<AtomicBool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let url = format!("{base}/v2/apps/web?embed=app.tasks&embed=app.counts");
        let answer: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        let app = &answer["app"];
        let healthy = app["tasksHealthy"].as_u64().unwrap_or_default();
        let mut silent = Vec::new();
        for task in app["tasks"].as_array().into_iter().flatten() {
            if is_healthy(task)
                && !serves(&http, task).await
                && still_healthy(&http, &base, task).await
            {
                silent.push(task["id"].to_string());
            }
        }
        samples.push(Sample { healthy, silent });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    samples
}

fn is_healthy(task: &Value) -> bool {
    task["state"] == "TASK_RUNNING" && task["healthCheckResults"][0]["alive"] == json!(true)
}

async fn serves(http: &reqwest::Client, task: &Value) -> bool {
    let [address] = &addresses(std::slice::from_ref(task))[..] else { return false };
    http.get(format!("http://{address}/")).send().await.is_ok_and(|answer| answer.status() == 200)
}

/// An old instance may have been stopped between two looks: then it is no
/// longer counted as healthy.
async fn still_healthy(http: &reqwest::Client, base: &str, task: &Value) -> bool {
    let answer: Value = http
        .get(format!("{base}/v2/apps/web?embed=app.tasks"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let tasks = answer["app"]["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().any(|now| now["id"] == task["id"] && is_healthy(now))
}
