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
    /// How many answered over HTTP.
    serving: usize,
}

/// Between the list and the requests an old instance may be replaced by a new
/// one: a look that counts too few is repeated, and only counts if it stays so.
const LOOKS: u32 = 4;

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
        assert!(sample.serving >= 3, "fewer instances answer than promised: {sample:?}");
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
        let mut sample = look(&base, &http).await;
        for _ in 1..LOOKS {
            if sample.serving >= 3 {
                break;
            }
            sample.serving = look(&base, &http).await.serving;
        }
        samples.push(sample);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    samples
}

async fn look(base: &str, http: &reqwest::Client) -> Sample {
    let url = format!("{base}/v2/apps/web?embed=app.tasks&embed=app.counts");
    let answer: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    let app = &answer["app"];
    let tasks = app["tasks"].as_array().cloned().unwrap_or_default();
    let requests = addresses(&tasks).into_iter().map(|address| {
        let request = http.get(format!("http://{address}/"));
        async move { request.send().await.is_ok_and(|answer| answer.status() == 200) }
    });
    let serving =
        futures::future::join_all(requests).await.into_iter().filter(|serves| *serves).count();
    Sample { healthy: app["tasksHealthy"].as_u64().unwrap_or_default(), serving }
}
