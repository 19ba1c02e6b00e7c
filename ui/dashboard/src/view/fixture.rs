//! A small cluster, for tests of views and pages.

use serde_json::{Value, json};

use super::Snapshot;
use crate::wire::marathon::{App, Queued};

/// 2026-11-22 03:00:00 UTC.
pub const NOW_MS: u64 = 1_795_316_400_000;

pub fn app(id: &str, instances: u32, running: u32) -> App {
    App {
        id: id.into(),
        instances,
        tasks_running: running,
        cpus: 0.5,
        mem: 128.0,
        ..App::default()
    }
}

pub fn queued(id: &str, count: u32, since_ms: u64) -> Queued {
    let mut queued = Queued { count, since: rfc3339(since_ms), ..Queued::default() };
    queued.app.id = id.into();
    queued.delay.overdue = true;
    queued
}

fn rfc3339(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string()
}

/// What the fake upstreams answer, by path.
pub fn answer(path: &str) -> Option<Value> {
    Some(match path {
        "/state-summary" => json!({
            "cluster": "demo", "hostname": "10.0.0.1",
            "frameworks": [
                { "id": "F-0", "name": "marathon", "active": true },
                { "id": "F-1", "name": "batch <b>&amp;</b>", "active": true },
            ],
        }),
        "/slaves" => json!({ "slaves": [
            slave("S0", "node-a", 8.0, 5.5, json!({ "rack": "r1", "zone": "a" }), true),
            slave("S1", "node-b", 8.0, 0.5, json!({}), true),
            slave("S2", "node-c", 4.0, 0.0, json!({ "rack": "r2" }), false),
        ]}),
        "/tasks" => json!({ "tasks": tasks() }),
        "/v2/apps" => json!({ "apps": apps() }),
        "/v2/deployments" => json!([{
            "id": "5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43", "version": "2026-11-22T02:57:00.000Z",
            "affectedApps": ["/shop/cart"], "currentStep": 1, "totalSteps": 2,
            "currentActions": [{ "action": "ScaleApplication", "app": "/shop/cart" }],
        }]),
        "/v2/queue" => json!({ "queue": [{
            "app": { "id": "/shop/backend/db" }, "count": 2, "since": "2026-11-22T02:50:00.000Z",
            "delay": { "timeLeftSeconds": 0, "overdue": true },
            "processedOffersSummary": {
                "processedOffersCount": 42, "unusedOffersCount": 42,
                "rejectSummaryLastOffers": [
                    { "reason": "UnfulfilledRole", "declined": 0, "processed": 3 },
                    { "reason": "InsufficientCpus", "declined": 2, "processed": 3 },
                    { "reason": "InsufficientMemory", "declined": 1, "processed": 1 },
                ],
            },
        }]}),
        "/v2/apps/web" => json!({ "app": apps().first() }),
        "/v2/apps/web/versions" => {
            json!({ "versions": ["2026-11-22T02:00:00.000Z", "2026-11-21T02:00:00.000Z"] })
        }
        "/v2/apps/web/versions/2026-11-21T02:00:00.000Z" => {
            json!({ "id": "/web", "cmd": "sleep 1", "instances": 1 })
        }
        _ => return None,
    })
}

fn slave(id: &str, host: &str, cpus: f64, used: f64, attributes: Value, active: bool) -> Value {
    json!({
        "id": id, "hostname": host, "port": 5051, "pid": format!("slave(1)@10.0.0.9:505{}", id.len()),
        "active": active, "version": "1.11.0", "registered_time": 1_795_230_000.25, "attributes": attributes,
        "resources": { "cpus": cpus, "mem": 16384.0, "disk": 102_400.0, "ports": "[31000-32000]" },
        "used_resources": { "cpus": used, "mem": used * 1024.0, "disk": used * 100.0 },
        "offered_resources": { "cpus": 1.0, "mem": 2048.0 },
    })
}

fn task(app: &str, index: u32, state: &str, healthy: Option<bool>, agent: &str) -> Value {
    let mut status = json!({ "state": state, "timestamp": 1_795_316_000.5,
        "container_status": { "container_id": { "value": "c0ffee00-1111-2222-3333-444444444444" } } });
    if let Some(healthy) = healthy {
        status["healthy"] = json!(healthy);
    }
    if state == "TASK_FAILED" {
        status["message"] = json!("Command exited with status 127: <script>alert(1)</script>");
    }
    json!({
        "id": format!("{app}.instance-{index}._app.1"), "name": app, "framework_id": "F-0", "executor_id": "",
        "slave_id": agent, "state": state, "resources": { "cpus": 0.5, "mem": 128.0, "disk": 0.0, "ports": "[31000-31000]" },
        "statuses": [{ "state": "TASK_STARTING", "timestamp": 1_795_315_990.0 }, status],
    })
}

fn tasks() -> Vec<Value> {
    vec![
        task("web", 1, "TASK_RUNNING", Some(true), "S0"),
        task("web", 2, "TASK_RUNNING", Some(true), "S0"),
        task("web", 3, "TASK_RUNNING", None, "S1"),
        task("front.shop", 1, "TASK_RUNNING", Some(false), "S0"),
        task("cart.shop", 1, "TASK_RUNNING", None, "S0"),
        task("cart.shop", 2, "TASK_STAGING", None, "S1"),
        task("front.shop", 0, "TASK_FAILED", None, "S0"),
        task("old", 0, "TASK_FINISHED", None, "S9"),
    ]
}

fn apps() -> Vec<Value> {
    let started = "2026-11-22T02:30:00.000Z";
    let instance = |app: &str, index: u32, port: u16, alive: Option<bool>| {
        let health: Vec<Value> = alive
            .map(|alive| json!({ "alive": alive, "lastFailureCause": if alive { Value::Null } else { json!("503 Service Unavailable") } }))
            .into_iter()
            .collect();
        json!({ "id": format!("{app}.instance-{index}._app.1"), "host": "10.0.0.9", "slaveId": "S0", "state": "TASK_RUNNING",
            "ports": [port], "startedAt": started, "version": "2026-11-22T02:00:00.000Z", "healthCheckResults": health })
    };
    let check = json!([{ "protocol": "HTTP", "path": "/", "portIndex": 0 }]);
    vec![
        json!({ "id": "/web", "cmd": "python3 -m http.server $PORT0", "instances": 3, "cpus": 0.5, "mem": 128, "disk": 0,
            "labels": { "owner": "<script>alert('x')</script>" }, "version": "2026-11-22T02:00:00.000Z", "healthChecks": check,
            "tasksStaged": 0, "tasksRunning": 3, "tasksHealthy": 2, "tasksUnhealthy": 0, "deployments": [],
            "tasks": [instance("web", 1, 31000, Some(true)), instance("web", 2, 31001, Some(true)), instance("web", 3, 31002, None)],
            "lastTaskFailure": { "appId": "/web", "host": "node-b", "message": "Command exited with status 1",
                "state": "TASK_FAILED", "taskId": "web.instance-0._app.1", "timestamp": "2026-11-22T02:10:00.000Z",
                "version": "2026-11-22T02:00:00.000Z" } }),
        json!({ "id": "/shop/front", "instances": 2, "cpus": 1, "mem": 256, "healthChecks": check, "tasksRunning": 1,
            "tasksHealthy": 0, "tasksUnhealthy": 1, "version": "2026-11-22T02:00:00.000Z",
            "tasks": [instance("front.shop", 1, 31010, Some(false))] }),
        json!({ "id": "/shop/cart", "instances": 2, "cpus": 0.5, "mem": 128, "tasksRunning": 1, "tasksStaged": 1,
            "deployments": [{ "id": "5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43" }], "tasks": [instance("cart.shop", 1, 31020, None)] }),
        json!({ "id": "/shop/backend/db", "instances": 2, "cpus": 16, "mem": 1024, "tasksRunning": 0,
            "deployments": [{ "id": "x" }] }),
        json!({ "id": "/idle", "instances": 0, "cpus": 0.1, "mem": 32, "tasksRunning": 0 }),
    ]
}

/// All of it as the watcher would have read it.
pub fn snapshot() -> Snapshot {
    fn read<T: serde::de::DeserializeOwned>(path: &str) -> T {
        serde_json::from_value(answer(path).unwrap()).unwrap()
    }
    Snapshot {
        taken_ms: NOW_MS,
        summary: read("/state-summary"),
        slaves: read::<crate::wire::mesos::Slaves>("/slaves").slaves,
        tasks: read::<crate::wire::mesos::Tasks>("/tasks").tasks,
        apps: read::<crate::wire::marathon::Apps>("/v2/apps").apps,
        deployments: read("/v2/deployments"),
        queue: read::<crate::wire::marathon::Queue>("/v2/queue").queue,
        problems: Vec::new(),
    }
}
