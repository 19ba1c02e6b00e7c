//! What operators decide about roles: set at one door, read at all others, and
//! not forgotten by a master that is killed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::datacenter::Datacenter;

/// An amount of cpus, as quotas name it.
fn cpus(value: f64) -> Value {
    json!({ "cpus": { "value": value } })
}

async fn weights(dc: &Datacenter) -> Value {
    let old = dc.master().get("/weights").await.expect(200);
    let new = dc.master().ask(json!({ "type": "GET_WEIGHTS" })).await;
    // Of no weights, one says nothing and the other an empty list.
    assert_eq!(
        new["weight_infos"].as_array().map_or(&[][..], Vec::as_slice),
        old.as_array().expect("a list")
    );
    for (role, weight) in
        old.as_array().expect("a list").iter().map(|it| (&it["role"], &it["weight"]))
    {
        assert_eq!(role_at_every_door(dc, role).await["weight"], *weight);
    }
    old
}

async fn quotas(dc: &Datacenter) -> Value {
    let old = dc.master().get("/quota").await.expect(200);
    let new = dc.master().ask(json!({ "type": "GET_QUOTA" })).await;
    // Without any, one leaves the lists out.
    assert_eq!(new["status"]["configs"].is_null(), old["configs"].is_null());
    for config in old["configs"].as_array().into_iter().flatten() {
        assert!(new["status"]["configs"].as_array().expect("a list").contains(config));
        let role = role_at_every_door(dc, &config["role"]).await;
        for (long, short) in [("guarantees", "guarantee"), ("limits", "limit")] {
            let (long, short) = (&config[long]["cpus"]["value"], &role["quota"][short]["cpus"]);
            assert_eq!(long, short, "{config} is not {role}");
        }
    }
    old["configs"].clone()
}

/// A role as `/roles` shows it; GET_ROLES knows it too.
async fn role_at_every_door(dc: &Datacenter, name: &Value) -> Value {
    let find = |roles: &Value| {
        let all = roles["roles"].as_array().expect("a list");
        all.iter().find(|role| role["name"] == *name).cloned()
    };
    let old = find(&dc.master().get("/roles").await.expect(200)).expect("a role of /roles");
    assert_eq!(find(&dc.master().get("/master/roles").await.expect(200)).as_ref(), Some(&old));
    let new = dc.master().ask(json!({ "type": "GET_ROLES" })).await;
    assert_eq!(find(&new).expect("a role of GET_ROLES")["weight"], old["weight"]);
    old
}

async fn restarted(dc: &mut Datacenter) {
    dc.kill_9();
    dc.start_again().await;
}

#[tokio::test]
async fn weights_go_round_and_survive_a_kill() {
    let mut dc = Datacenter::start().await;
    assert_eq!(weights(&dc).await, json!([]));
    let half = json!([{ "weight": 2.5, "role": "eng" }]);
    dc.master().put("/weights", &half).await.expect(200);
    assert_eq!(weights(&dc).await, half);
    restarted(&mut dc).await;
    assert_eq!(weights(&dc).await, half);

    let update = |infos: &Value| json!({ "type": "UPDATE_WEIGHTS", "update_weights": { "weight_infos": infos } });
    let more = json!([{ "weight": 4.0, "role": "eng/ops" }, { "weight": 0.5, "role": "eng" }]);
    dc.master().post("/api/v1", &update(&more)).await.expect(200);
    let both = json!([{ "weight": 0.5, "role": "eng" }, { "weight": 4.0, "role": "eng/ops" }]);
    assert_eq!(weights(&dc).await, both);
    // All of a call or nothing.
    let good = json!({ "role": "good", "weight": 2.0 });
    for (bad, text) in [
        (json!({ "role": "a", "weight": -1.0 }), "positive"),
        (json!({ "role": "a", "weight": 0.0 }), "positive"),
        (json!({ "role": "a", "weight": 1e300 }), "between"),
        (json!({ "role": "a//b", "weight": 2.0 }), "a//b"),
        (json!({ "role": "good", "weight": 3.0 }), "twice"),
    ] {
        let list = json!([good, bad]);
        let old = dc.master().put("/weights", &list).await;
        let new = dc.master().post("/api/v1", &update(&list)).await;
        for refused in [old, new] {
            assert_eq!(refused.status, 400, "{bad}");
            assert!(refused.body.to_string().contains(text), "{bad}: {}", refused.body);
        }
    }
    restarted(&mut dc).await;
    assert_eq!(weights(&dc).await, both);
    for method in [Method::POST, Method::DELETE] {
        dc.master().send(method, "/weights", Some(half.to_string())).await.expect(405);
    }
}

#[tokio::test]
async fn quotas_go_round_and_survive_a_kill() {
    let mut dc = Datacenter::start().await;
    assert_eq!(quotas(&dc).await, Value::Null);
    let guarantee =
        |cpus: f64| json!([{ "name": "cpus", "type": "SCALAR", "scalar": { "value": cpus } }]);
    let request = |role: &str, cpus: f64| json!({ "role": role, "guarantee": guarantee(cpus) });
    dc.master().post("/quota", &request("eng", 2.0)).await.expect(200);
    let eng = json!({ "role": "eng", "guarantees": cpus(2.0), "limits": cpus(2.0) });
    assert_eq!(quotas(&dc).await, json!([eng]));
    let set = json!({ "type": "SET_QUOTA", "set_quota": { "quota_request": request("web", 1.0) } });
    dc.master().post("/api/v1", &set).await.expect(200);
    let ops = json!({ "role": "ops", "guarantees": cpus(1.0), "limits": cpus(3.0) });
    let update = |configs: Value| json!({ "type": "UPDATE_QUOTA", "update_quota": { "quota_configs": configs } });
    dc.master().post("/api/v1", &update(json!([ops]))).await.expect(200);
    let web = json!({ "role": "web", "guarantees": cpus(1.0), "limits": cpus(1.0) });
    restarted(&mut dc).await;
    assert_eq!(quotas(&dc).await, json!([eng, ops, web]));

    // Set already; more than there is; less than nothing; of nobody.
    dc.master().post("/quota", &request("eng", 3.0)).await.expect(400);
    dc.master().post("/quota", &request("huge", 1e6)).await.expect(409);
    dc.master().post("/quota", &request("less", -1.0)).await.expect(400);
    dc.master().delete("/quota/nobody").await.expect(400);
    dc.master().put("/quota", &request("eng", 3.0)).await.expect(405);
    let bad = json!({ "role": "a", "guarantees": cpus(2.0), "limits": cpus(1.0) });
    let good = json!({ "role": "b", "limits": cpus(1.0) });
    dc.master().post("/api/v1", &update(json!([good, bad]))).await.expect(400);
    assert_eq!(quotas(&dc).await, json!([eng, ops, web]));

    dc.master().delete("/quota/eng").await.expect(200);
    let remove = json!({ "type": "REMOVE_QUOTA", "remove_quota": { "role": "web" } });
    dc.master().post("/api/v1", &remove).await.expect(200);
    assert_eq!(quotas(&dc).await, json!([ops]));
    restarted(&mut dc).await;
    assert_eq!(quotas(&dc).await, json!([ops]));
    dc.master().post("/api/v1", &update(json!([{ "role": "ops" }]))).await.expect(200);
    assert_eq!(quotas(&dc).await, Value::Null);
}
