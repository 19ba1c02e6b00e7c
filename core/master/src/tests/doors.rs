//! What is set through one door is read through all others.

use reqwest::Method;
use serde_json::{Value, json};

use super::fakes::{Agent, Master, client, store};

async fn put(master: &Master, method: Method, path: &str, body: &Value) -> u16 {
    let request = client().request(method, format!("{}{path}", master.url)).json(body);
    request.send().await.unwrap().status().as_u16()
}

fn scalars(config: &Value) -> (&Value, &Value) {
    (&config["guarantees"]["cpus"]["value"], &config["limits"]["cpus"]["value"])
}

#[tokio::test]
async fn weights_go_round() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let weights = json!([{"role": "eng", "weight": 2.5}]);
    assert_eq!(put(&master, Method::PUT, "/weights", &weights).await, 200);
    // Who was answered reads what he wrote.
    assert_eq!(master.get("/weights").await, json!([{"weight": 2.5, "role": "eng"}]));
    let (status, answer) = master.ask(json!({"type": "GET_WEIGHTS"})).await;
    assert_eq!((status, &answer["get_weights"]["weight_infos"][0]["weight"]), (200, &json!(2.5)));
    let call = json!({"type": "UPDATE_WEIGHTS",
        "update_weights": {"weight_infos": [{"role": "eng", "weight": 3}, {"role": "ops", "weight": 4}]}});
    assert_eq!(master.ask(call).await.0, 200);
    let weight = |roles: &Value, name: &str| {
        let roles = roles["roles"].as_array().unwrap();
        roles.iter().find(|role| role["name"] == name).map(|role| role["weight"].clone())
    };
    let known = |roles: &Value| {
        weight(roles, "eng") == Some(json!(3.0)) && weight(roles, "ops") == Some(json!(4.0))
    };
    master.eventually("/roles", known).await;
    let (_, answer) = master.ask(json!({"type": "GET_ROLES"})).await;
    assert!(known(&answer["get_roles"]));
    master.stop().await;
}

#[tokio::test]
async fn quotas_go_round() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let _agent = Agent::register(&master, None, vec![]).await;
    let configs = json!([{"role": "eng", "guarantees": {"cpus": {"value": 1}}, "limits": {"cpus": {"value": 3}}}]);
    let update = json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": configs}});
    assert_eq!(master.ask(update).await.0, 200);
    let set = |it: &Value| scalars(&it["configs"][0]) == (&json!(1.0), &json!(3.0));
    assert!(set(&master.get("/quota").await));
    let (status, answer) = master.ask(json!({"type": "GET_QUOTA"})).await;
    assert_eq!(status, 200);
    let status = &answer["get_quota"]["status"];
    assert!(set(status));
    assert_eq!(status["infos"][0]["guarantee"][0]["scalar"]["value"], 1.0);
    let roles = master.get("/roles").await;
    let role = roles["roles"].as_array().unwrap().iter().find(|it| it["name"] == "eng").unwrap();
    assert_eq!(role["quota"]["guarantee"], json!({"cpus": 1.0}));
    assert_eq!(role["quota"]["limit"], json!({"cpus": 3.0}));
    assert_eq!(role["quota"]["consumed"], json!({}));
    assert_eq!(put(&master, Method::DELETE, "/quota/eng", &Value::Null).await, 200);
    master.eventually("/quota", |it| *it == json!({})).await;

    let cpus = json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}}]);
    let request = json!({"role": "ops", "guarantee": cpus});
    assert_eq!(put(&master, Method::POST, "/quota", &request).await, 200);
    let is_set = |it: &Value| it["configs"][0]["role"] == "ops";
    master.eventually("/master/quota", is_set).await;
    assert_eq!(put(&master, Method::POST, "/quota", &request).await, 400, "it is set already");
    let remove = json!({"type": "REMOVE_QUOTA", "remove_quota": {"role": "ops"}});
    assert_eq!(master.ask(remove).await.0, 200);
    master.eventually("/quota", |it| *it == json!({})).await;
    master.stop().await;
}

#[tokio::test]
async fn schedules_go_round() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let window = |host: &str| {
        json!({"machine_ids": [{"hostname": host}],
            "unavailability": {"start": {"nanoseconds": 5}, "duration": {"nanoseconds": 7}}})
    };
    let schedule = json!({"windows": [window("m1")]});
    assert_eq!(put(&master, Method::POST, "/maintenance/schedule", &schedule).await, 200);
    assert_eq!(master.get("/maintenance/schedule").await, schedule);
    let (_, answer) = master.ask(json!({"type": "GET_MAINTENANCE_SCHEDULE"})).await;
    assert_eq!(answer["get_maintenance_schedule"]["schedule"], schedule);
    let schedule = json!({"windows": [window("m1"), window("m2")]});
    let call = json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
        "update_maintenance_schedule": {"schedule": schedule}});
    assert_eq!(master.ask(call).await.0, 200);
    master.eventually("/maintenance/schedule", |it| *it == schedule).await;
    let status = master.get("/maintenance/status").await;
    let draining = status["draining_machines"].as_array().unwrap();
    assert_eq!(draining.iter().map(|it| &it["id"]["hostname"]).collect::<Vec<_>>(), ["m1", "m2"]);
    let (_, answer) = master.ask(json!({"type": "GET_MAINTENANCE_STATUS"})).await;
    assert_eq!(answer["get_maintenance_status"]["status"], status);
    master.stop().await;
}

#[tokio::test]
async fn the_level_of_the_log_changes_for_a_while() {
    karman_rt::log::init("warn", karman_rt::log::Format::Text);
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let level = || async {
        let (_, answer) = master.ask(json!({"type": "GET_LOGGING_LEVEL"})).await;
        answer["get_logging_level"]["level"].clone()
    };
    assert_eq!(level().await, 0);
    let hour = json!({"nanoseconds": 3_600_000_000_000_u64});
    let set =
        json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": 1, "duration": hour}});
    assert_eq!(master.ask(set).await.0, 200);
    assert_eq!(level().await, 1);
    // The change is itself logged, now that this is wanted.
    let (_, list) =
        master.ask(json!({"type": "LIST_FILES", "list_files": {"path": "/master"}})).await;
    let info = &list["list_files"]["file_infos"][0];
    assert_eq!(info["path"], "/master/log");
    assert!(info["size"].as_u64().unwrap() > 0);
    let (_, read) = master
        .ask(json!({"type": "READ_FILE", "read_file": {"path": "/master/log", "offset": 0}}))
        .await;
    assert!(read["read_file"]["size"].as_u64().unwrap() > 0);
    let text = master.get("/files/read?path=/master/log&offset=0").await["data"].to_string();
    assert!(text.contains("logging level changed"), "{text}");

    let toggle = format!("{}/logging/toggle?level=2&duration=1ms", master.url);
    assert_eq!(client().get(toggle).send().await.unwrap().status(), 200);
    // The hour of the first change no longer counts.
    while level().await != 0 {
        tokio::task::yield_now().await;
    }
    master.stop().await;
}

#[tokio::test]
async fn metrics_have_the_documented_names() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let _agent = Agent::register(&master, None, vec![]).await;
    let metrics =
        master.eventually("/metrics/snapshot", |it| it["master/slaves_active"] == json!(1.0)).await;
    let documented = include_str!("metrics.txt").lines();
    for name in documented.chain([
        "master/cpus_percent",
        "master/mem_revocable_total",
        "master/elected",
        "master/uptime_secs",
        "master/frameworks_active",
        "master/messages_kill_task",
        "master/tasks_gone_by_operator",
        "master/operator_event_stream_subscribers",
        "allocator/mesos/allocation_runs",
        "allocator/mesos/allocation_run_ms/p99",
        "allocator/mesos/resources/cpus/total",
        "allocator/mesos/roles/*/shares/dominant",
        "registrar/state_store_ms/p50",
        "system/cpus_total",
        "system/load_1min",
        "system/mem_total_bytes",
    ]) {
        assert!(metrics[name].is_number(), "{name} is missing");
    }
    let prometheus = client().get(format!("{}/metrics/prometheus", master.url));
    let text = prometheus.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\nkarman_master_elected 1\n"), "{text}");
    let (status, answer) = master.ask(json!({"type": "GET_METRICS", "get_metrics": {}})).await;
    assert_eq!(status, 200);
    assert!(answer["get_metrics"]["metrics"].as_array().unwrap().len() >= 80);
    master.stop().await;
}
