//! Maintenance from the schedule to the machine that is back, through both
//! doors, while the master is killed again and again.

use serde_json::{Value, json};

use crate::datacenter::{Datacenter, Options};
use crate::eventually::eventually;
use crate::scheduler::{LIMIT, Scheduler, framework, task};

/// The second of the two agents of these tests.
const HOST: &str = "127.0.0.2";

fn machine() -> Value {
    json!({ "hostname": HOST, "ip": HOST })
}

/// In an hour, for a minute.
fn window(machines: &Value) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let hour = now.expect("a clock").as_secs() + 3600;
    let start = json!({ "nanoseconds": hour * 1_000_000_000 });
    let unavailability =
        json!({ "start": start, "duration": { "nanoseconds": 60_000_000_000_u64 } });
    json!({ "machine_ids": machines, "unavailability": unavailability })
}

/// The schedule, the same at both doors.
async fn schedule(dc: &Datacenter) -> Value {
    let old = dc.master().get("/maintenance/schedule").await.expect(200);
    let new = dc.master().ask(json!({ "type": "GET_MAINTENANCE_SCHEDULE" })).await;
    assert_eq!(new["schedule"], old);
    old
}

/// The state of the machines, the same at both doors.
async fn status(dc: &Datacenter) -> Value {
    let old = dc.master().get("/maintenance/status").await.expect(200);
    let new = dc.master().ask(json!({ "type": "GET_MAINTENANCE_STATUS" })).await;
    assert_eq!(new["status"], old);
    old
}

/// Waits until the framework is shown with its answer.
async fn answered(dc: &Datacenter, answer: &str) {
    eventually("the answer is shown", LIMIT, async || {
        let status = dc.master().get("/maintenance/status").await.expect(200);
        let draining = &status["draining_machines"][0];
        if draining["statuses"][0]["status"] == answer { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

async fn agents(dc: &Datacenter, count: u32) {
    eventually("the agents are there", LIMIT, async || {
        let state = dc.master().get("/state-summary").await.expect(200);
        let agents = state["slaves"].as_array().cloned().unwrap_or_default();
        let active = agents.iter().filter(|it| it["active"] == true).count();
        if active == count as usize { Ok(()) } else { Err(format!("{agents:?}")) }
    })
    .await;
}

/// Reads on until the framework was asked to leave the second agent, of which
/// the id is given, and until what it is offered there says when it ends.
async fn asked(scheduler: &mut Scheduler, agent: &Value, window: &Value) -> Value {
    let (mut inverse, mut warned) = (None, false);
    let read = async {
        while inverse.is_none() || !warned {
            let event = scheduler.event().await.expect("the stream goes on");
            if event["type"] == "INVERSE_OFFERS" {
                let one = &event["inverse_offers"]["inverse_offers"][0];
                assert_eq!(one["agent_id"], *agent, "{event}");
                assert_eq!(one["unavailability"], window["unavailability"], "{event}");
                inverse = Some(one["id"].clone());
            }
            for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
                let is_warned = offer["unavailability"] == window["unavailability"];
                assert!(offer["hostname"] == HOST || !is_warned, "{offer}");
                warned |= is_warned;
            }
        }
    };
    let read = tokio::time::timeout(LIMIT, read).await;
    assert!(read.is_ok(), "inverse offer: {inverse:?}, offer with unavailability: {warned}");
    inverse.unwrap_or_default()
}

async fn answer(scheduler: &Scheduler, kind: &str, id: &Value) {
    let body = json!({ kind.to_lowercase(): { "inverse_offer_ids": [id] } });
    scheduler.call(kind, body).await.expect(202);
}

/// A framework that outlives the master, with a task on the second agent.
async fn worker(dc: &Datacenter) -> (Scheduler, Value, Value) {
    let mut info = framework("worker");
    info["failover_timeout"] = json!(3600.0);
    info["checkpoint"] = json!(true);
    let mut scheduler = Scheduler::subscribe_as(&dc.ready.master, &info, &[]).await;
    info["id"] = scheduler.id.clone();
    let agent = loop {
        let event = scheduler.next("OFFERS").await;
        let offers = event["offers"]["offers"].as_array().expect("a list");
        if let Some(offer) = offers.iter().find(|offer| offer["hostname"] == HOST) {
            let agent = offer["agent_id"].clone();
            let sleeper = task("sleeper", &agent, "exec sleep 100000");
            scheduler.launch(offer, &[sleeper]).await.expect(202);
            break agent;
        }
    };
    scheduler.reached("sleeper", "TASK_RUNNING").await;
    (scheduler, info, agent)
}

#[tokio::test]
async fn a_machine_is_drained_taken_down_and_brought_up_across_kills() {
    let mut dc = Datacenter::with(Options { agents: 2, ..Options::default() }).await;
    let (mut scheduler, info, agent) = worker(&dc).await;

    let window = window(&json!([machine()]));
    let windows = json!({ "windows": [window] });
    dc.master().post("/maintenance/schedule", &windows).await.expect(200);
    assert_eq!(schedule(&dc).await, windows);
    assert_eq!(status(&dc).await["draining_machines"][0]["id"], machine());
    let inverse = asked(&mut scheduler, &agent, &window).await;
    answer(&scheduler, "ACCEPT_INVERSE_OFFERS", &inverse).await;
    answered(&dc, "ACCEPT").await;

    dc.kill_9();
    dc.start_again().await;
    assert_eq!(schedule(&dc).await, windows);
    let mut scheduler = Scheduler::subscribe_as(&dc.ready.master, &info, &[]).await;
    let inverse = asked(&mut scheduler, &agent, &window).await;
    answer(&scheduler, "DECLINE_INVERSE_OFFERS", &inverse).await;
    answered(&dc, "DECLINE").await;
    dc.master().post("/machine/up", &json!([machine()])).await.expect(400);
    dc.master().post("/machine/down", &json!([{ "hostname": "unheard-of" }])).await.expect(400);
    dc.master().post("/machine/down", &json!([machine()])).await.expect(200);
    assert_eq!(status(&dc).await, json!({ "down_machines": [machine()] }));
    scheduler.reached("sleeper", "TASK_GONE").await;
    agents(&dc, 1).await;
    // A machine that is down stays in the schedule.
    dc.master().post("/maintenance/schedule", &json!({})).await.expect(400);

    // Its agent is not let in after a restart either, and the rest works.
    dc.kill_9();
    dc.start_again().await;
    assert_eq!(status(&dc).await, json!({ "down_machines": [machine()] }));
    agents(&dc, 1).await;
    dc.master().post("/machine/up", &json!([machine()])).await.expect(200);
    assert_eq!(schedule(&dc).await, json!({}));
    assert_eq!(status(&dc).await, json!({}));
    agents(&dc, 2).await;
}

#[tokio::test]
async fn maintenance_by_calls_goes_round_and_survives_a_kill() {
    let mut dc = Datacenter::start().await;
    let machines = json!([{ "hostname": "far.example.com", "ip": "192.0.2.7" }]);
    let windows = json!({ "windows": [window(&machines)] });
    let update = |schedule: &Value| {
        json!({ "type": "UPDATE_MAINTENANCE_SCHEDULE",
            "update_maintenance_schedule": { "schedule": schedule } })
    };
    let start =
        json!({ "type": "START_MAINTENANCE", "start_maintenance": { "machines": machines } });
    let stop = json!({ "type": "STOP_MAINTENANCE", "stop_maintenance": { "machines": machines } });
    dc.master().post("/api/v1", &start).await.expect(400);
    dc.master().post("/api/v1", &update(&windows)).await.expect(200);
    let twice = json!({ "windows": [windows["windows"][0], windows["windows"][0]] });
    dc.master().post("/api/v1", &update(&twice)).await.expect(400);
    dc.kill_9();
    dc.start_again().await;
    assert_eq!(schedule(&dc).await, windows);
    dc.master().post("/api/v1", &start).await.expect(200);
    dc.master().post("/api/v1", &start).await.expect(400);
    dc.kill_9();
    dc.start_again().await;
    assert_eq!(schedule(&dc).await, windows);
    assert_eq!(status(&dc).await, json!({ "down_machines": machines }));
    dc.master().post("/api/v1", &stop).await.expect(200);
    assert_eq!(schedule(&dc).await, json!({}));
    dc.master().post("/api/v1", &update(&windows)).await.expect(200);
    dc.master().post("/api/v1", &update(&json!({ "windows": [] }))).await.expect(200);
    dc.kill_9();
    dc.start_again().await;
    assert_eq!(schedule(&dc).await, json!({}));
    assert_eq!(status(&dc).await, json!({}));
}
