//! Bad input is answered with the right status and with every mistake.

use reqwest::Method;
use serde_json::{Value, json};

use super::{mark, sleeper};
use crate::datacenter::Datacenter;

/// Larger than any request may be.
const TOO_LARGE: usize = 11 * 1024 * 1024;

#[tokio::test]
async fn bad_input_is_refused_with_every_mistake() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    let malformed =
        marathon.send(Method::POST, "/v2/apps", Some("{\"id\": ".into())).await.expect(400);
    assert!(malformed["message"].is_string(), "{malformed:#}");

    let invalid = json!({ "id": "/Bad Id", "cmd": "x", "instances": -1, "cpus": -0.5, "mem": 16 });
    let invalid = marathon.post("/v2/apps", &invalid).await.expect(422);
    let paths: Vec<&str> = invalid["details"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|detail| detail["path"].as_str())
        .collect();
    for path in ["/id", "/instances", "/cpus"] {
        assert!(paths.contains(&path), "{path} is missing in {invalid:#}");
    }
    let details = invalid["details"].as_array().into_iter().flatten();
    assert!(
        details
            .clone()
            .all(|detail| detail["errors"].as_array().is_some_and(|errors| !errors.is_empty()))
    );

    let unknown = marathon.get("/v2/apps/nowhere").await.expect(404);
    assert!(
        unknown["message"].as_str().is_some_and(|text| text.contains("/nowhere")),
        "{unknown:#}"
    );
    marathon.delete("/v2/apps/nowhere").await.expect(404);
    marathon.post("/v2/apps/nowhere/restart", &Value::Null).await.expect(404);

    let mut huge = sleeper("/huge", 1, &mark());
    huge["labels"] = json!({ "text": "x".repeat(TOO_LARGE) });
    marathon.post("/v2/apps", &huge).await.expect(413);
}

#[tokio::test]
async fn an_app_that_is_being_changed_is_locked() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    let mut waiting = sleeper("/waiting", 1, &mark());
    // More than there is: the deployment waits.
    waiting["cpus"] = json!(10_000);
    marathon.create(&waiting).await;
    marathon.post("/v2/apps", &waiting).await.expect(409);
    let locked = marathon.put("/v2/apps/waiting", &json!({ "instances": 2 })).await.expect(409);
    assert!(locked["deployments"][0]["id"].is_string(), "{locked:#}");
    marathon.put("/v2/apps/waiting?force=true", &json!({ "cpus": 0.01 })).await.expect(200);
    marathon.settled("/waiting", 1).await;
}

#[tokio::test]
async fn the_gateway_passes_refusals_through() {
    let dc = Datacenter::start().await;
    let through = crate::marathon::Marathon {
        base: &format!("{}/service/marathon", dc.ready.gateway),
        http: &dc.http,
    };
    through.send(Method::POST, "/v2/apps", Some("nonsense".into())).await.expect(400);
    through.get("/v2/apps/nowhere").await.expect(404);
    through.create(&sleeper("/through", 1, &mark())).await;
    through.settled("/through", 1).await;
}
