//! Who may call, and how often.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fakes::{Master, client, store};
use crate::access::{Access, Credentials};
use crate::ledger::{CallRate, RateLimits, Settings};

fn subscribe(principal: Option<&str>) -> Value {
    let info = json!({"user": "u", "name": "n", "principal": principal, "failover_timeout": 60});
    json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}})
}

#[tokio::test]
async fn guarded_doors_ask_who_is_there() {
    let (_folder, store) = store();
    let access = Access::everywhere(Credentials::parse("ann secret\nbob other").unwrap());
    let master = Master::with(&store, Settings::default(), access).await;
    let at = |path: &str| format!("{}{path}", master.url);
    for (path, realm) in [
        ("/state", "readonly"),
        ("/metrics/snapshot", "readonly"),
        ("/api/v1", "readwrite"),
        ("/quota", "readwrite"),
        ("/api/v1/scheduler", "scheduler"),
    ] {
        let refused = client().get(at(path)).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{path}");
        let challenge = refused.headers()["WWW-Authenticate"].to_str().unwrap();
        assert_eq!(challenge, format!("Basic realm=\"mesos-master-{realm}\""));
        let wrong = client().get(at(path)).basic_auth("ann", Some("other")).send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
        let right = client().get(at(path)).basic_auth("ann", Some("secret")).send().await.unwrap();
        assert_ne!(right.status(), 401, "{path}");
    }
    for path in ["/health", "/version", "/redirect"] {
        assert_ne!(client().get(at(path)).send().await.unwrap().status(), 401, "{path}");
    }

    let post = |who: &'static str, secret: &'static str, stream: Option<String>, call: Value| {
        let mut request = client().post(at("/api/v1/scheduler")).basic_auth(who, Some(secret));
        if let Some(stream) = stream {
            request = request.header("Mesos-Stream-Id", stream);
        }
        request.json(&call).send()
    };
    let other = post("ann", "secret", None, subscribe(Some("bob"))).await.unwrap();
    assert_eq!(other.status(), 400);
    let stream = post("ann", "secret", None, subscribe(None)).await.unwrap();
    assert_eq!(stream.status(), 200);
    let id = stream.headers()["Mesos-Stream-Id"].to_str().unwrap().to_owned();
    let framework = loop {
        let state = client().get(at("/frameworks")).basic_auth("ann", Some("secret"));
        let state: Value = state.send().await.unwrap().json().await.unwrap();
        if let Some(framework) = state["frameworks"].get(0) {
            break framework.clone();
        }
    };
    assert_eq!(framework["principal"], "ann", "filled in");
    let revive = || json!({"type": "REVIVE", "framework_id": {"value": framework["id"]}});
    let stranger = post("bob", "other", Some(id.clone()), revive()).await.unwrap();
    assert_eq!(stranger.status(), 400);
    assert!(stranger.text().await.unwrap().contains("principal"));
    assert_eq!(post("ann", "secret", Some(id), revive()).await.unwrap().status(), 202);
    master.stop().await;
}

#[tokio::test]
async fn too_many_calls_of_a_principal_are_refused() {
    let (_folder, store) = store();
    let slow = CallRate { per_second: Some(1.0e-3), capacity: Some(0) };
    let principals = BTreeMap::from([("slow".to_owned(), slow)]);
    let rate_limits = RateLimits { principals, others: CallRate::default() };
    let settings = Settings { rate_limits, ..Settings::default() };
    let master = Master::with(&store, settings, Access::default()).await;
    let url = format!("{}/api/v1/scheduler", master.url);
    let post = |principal| client().post(&url).json(&subscribe(Some(principal))).send();
    let _first = post("slow").await.unwrap();
    let second = post("slow").await.unwrap();
    assert_eq!(second.status(), 429);
    let seconds: u64 = second.headers()["Retry-After"].to_str().unwrap().parse().unwrap();
    assert!((900..=1001).contains(&seconds), "{seconds}");
    assert!(second.text().await.unwrap().contains("'slow'"));
    for _ in 0..3 {
        assert_eq!(post("free").await.unwrap().status(), 200);
    }
    master.stop().await;
}
