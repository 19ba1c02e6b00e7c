//! Frameworks that do everything wrong, beside one that works: it never notices.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::datacenter::Datacenter;
use crate::scheduler::{Scheduler, Unread, scalar, task};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// Media type, headers and body of a call; the status and a part of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str);

/// Posts bytes as they are; the status and the text of the answer.
async fn post(
    dc: &Datacenter,
    kind: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, String) {
    let url = format!("{}/api/v1/scheduler", dc.ready.master);
    let mut request = dc.http.post(url).header("Content-Type", kind).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("the master answers");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

#[tokio::test]
async fn malformed_calls_are_answered_and_disturb_nobody() {
    let dc = Datacenter::start().await;
    let mut bystander = Scheduler::subscribe(&dc.ready.master, "bystander", true).await;
    let stranger = Scheduler::subscribe(&dc.ready.master, "stranger", false).await;
    bystander.works("before").await;

    let revive = |id: &Value| json!({ "type": "REVIVE", "framework_id": id }).to_string();
    let mine = revive(&stranger.id);
    let nested = format!(r#"{{"type":"REVIVE","unknown":{}"#, "[".repeat(1_000_000));
    let no_type = json!({ "framework_id": stranger.id }).to_string();
    let half = json!({ "type": "KILL", "framework_id": stranger.id, "kill": {} }).to_string();
    let short = json!({ "type": "ACKNOWLEDGE", "framework_id": stranger.id, "acknowledge": {
        "agent_id": { "value": "a" }, "task_id": { "value": "t" }, "uuid": "AAAA" } });
    let own: &[(&str, &str)] = &[("Mesos-Stream-Id", &stranger.stream)];
    let theirs: &[(&str, &str)] = &[("Mesos-Stream-Id", &bystander.stream)];
    let cases: [Case<'_>; 14] = [
        (JSON, own, b"{".to_vec(), 400, "JSON"),
        (JSON, own, format!("{}\n{mine}", mine.len()).into(), 400, "JSON"),
        (JSON, own, b"\xff\xfe\0".to_vec(), 400, "JSON"),
        (JSON, own, nested.into(), 400, "JSON"),
        (JSON, own, half.into(), 400, "task_id"),
        (JSON, own, no_type.into(), 400, "type"),
        (JSON, own, short.to_string().into(), 400, "UUID"),
        (PROTOBUF, own, mine.clone().into(), 400, "protobuf"),
        (PROTOBUF, own, vec![0x0b; 100_000], 400, "protobuf"),
        ("application/recordio", own, mine.clone().into(), 415, ""),
        (JSON, &[], mine.clone().into(), 400, "Mesos-Stream-Id"),
        (JSON, theirs, mine.clone().into(), 400, "stream ID"),
        (JSON, own, revive(&json!({ "value": "nobody" })).into(), 400, "cannot be found"),
        (JSON, own, vec![b' '; 11 * 1024 * 1024], 413, ""),
    ];
    for (kind, headers, body, status, text) in cases {
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        let (answered, said) = post(&dc, kind, headers, body).await;
        assert_eq!(answered, status, "{kind}: {shown}: {said}");
        assert!(said.contains(text), "'{text}' is not in the answer to {shown}: {said}");
    }
    // As large as a body may be, of the smallest messages that there are.
    let many = json!({ "type": "ACCEPT", "framework_id": stranger.id, "accept": {
        "offer_ids": [{ "value": "o" }], "operations": [] } });
    let swollen = |part: &str| {
        let list = format!("[{}{part}]", format!("{part},").repeat(9_000_000 / (part.len() + 1)));
        many.to_string().replace(r#""operations":[]"#, &format!(r#""operations":{list}"#))
    };
    let (answered, _) = post(&dc, JSON, own, swollen("{}").into()).await;
    assert_eq!(answered, 400);
    bystander.works("after").await;
}

#[tokio::test]
async fn offers_of_others_and_absurd_tasks_are_refused() {
    let dc = Datacenter::start().await;
    let mut bystander = Scheduler::subscribe(&dc.ready.master, "bystander", true).await;
    let mut stranger = Scheduler::subscribe(&dc.ready.master, "stranger", false).await;
    let theirs = bystander.offer().await;
    let agent = theirs["agent_id"].clone();
    stranger.launch(&theirs, &[task("stolen", &agent, "true")]).await.expect(202);
    let ended = stranger.ended(1).await;
    assert!(matches!(ended["stolen"].0.as_str(), "TASK_LOST" | "TASK_DROPPED"), "{ended:?}");
    let decline = json!({ "decline": { "offer_ids": [theirs["id"]] } });
    stranger.call("DECLINE", decline).await.expect(202);
    // It still belongs to whom it was made.
    bystander.launch(&theirs, &[task("own", &agent, "true")]).await.expect(202);
    assert_eq!(bystander.ended(1).await["own"].0, "TASK_FINISHED");

    bystander.rest().await;
    stranger.call("REVIVE", json!({})).await.expect(202);
    let with = |id: &str, resources: Value| {
        let mut task = task(id, &agent, "true");
        task["resources"] = resources;
        task
    };
    let absurd = [
        with("negative", json!([scalar("cpus", -1)])),
        with("infinite", json!([scalar("cpus", "Infinity")])),
        with("no-number", json!([scalar("cpus", "NaN")])),
        with("immense", json!([scalar("cpus", 1e300)])),
        with("more-than-offered", json!([scalar("cpus", 1e9)])),
        with("nothing", json!([])),
        with(
            "backwards",
            json!([{ "name": "ports", "type": "RANGES",
            "ranges": { "range": [{ "begin": 9, "end": 1 }] } }]),
        ),
        with(
            "all-ports",
            json!([{ "name": "ports", "type": "RANGES",
            "ranges": { "range": [{ "begin": 0, "end": u64::MAX }] } }]),
        ),
        task("not/an/id", &agent, "true"),
        task("elsewhere", &json!({ "value": "no-such-agent" }), "true"),
        task("twice", &agent, "sleep 1"),
    ];
    let offer = stranger.offer().await;
    let mut tasks = absurd.to_vec();
    tasks.push(task("good", &agent, "true"));
    stranger.launch(&offer, &tasks).await.expect(202);
    let ended = stranger.ended(tasks.len()).await;
    for bad in &absurd {
        let id = bad["task_id"]["value"].as_str().unwrap_or_default();
        let wanted = if id == "twice" { "TASK_FINISHED" } else { "TASK_ERROR" };
        assert_eq!(ended[id].0, wanted, "{id}: {ended:?}");
        assert!(id == "twice" || !ended[id].1.is_empty(), "{id} is refused without a reason");
    }
    assert_eq!(ended["good"].0, "TASK_FINISHED");

    // The same id twice in one call: the second is refused, the first runs.
    let offer = stranger.offer().await;
    let same = task("same", &agent, "sleep 1000");
    stranger.launch(&offer, &[same.clone(), same]).await.expect(202);
    let refused = stranger.ended(1).await;
    assert_eq!(refused["same"].0, "TASK_ERROR", "{refused:?}");
    assert!(refused["same"].1.contains("duplicate"), "{refused:?}");
    stranger.call("KILL", json!({ "kill": { "task_id": { "value": "same" } } })).await.expect(202);
    assert_eq!(stranger.ended(1).await["same"].0, "TASK_KILLED");
    stranger.call("TEARDOWN", json!({})).await.expect(202);
    bystander.call("REVIVE", json!({})).await.expect(202);
    bystander.works("after").await;
}

/// Each of these calls makes as many events; the master must not keep them all.
const TASKS_ASKED: usize = 50_000;
const CALLS_MAX: usize = 40;

#[tokio::test]
async fn a_framework_that_never_reads_is_cut_off_and_disturbs_nobody() {
    let dc = Datacenter::start().await;
    let mut bystander = Scheduler::subscribe(&dc.ready.master, "bystander", true).await;
    let stranger = Unread::subscribe(&dc.ready.master, "stranger", TASKS_ASKED).await;
    let mut calls = 0;
    loop {
        let status = stranger.ask().await;
        // Cut off; without a failover timeout it is gone for good at once.
        if matches!(status, 400 | 403) {
            break;
        }
        assert_eq!(status, 202);
        calls += 1;
        assert!(calls < CALLS_MAX, "the master keeps {calls} times {TASKS_ASKED} events");
        // The call is answered before it is handled: what the master does for
        // the bystander comes after it.
        bystander.works(&format!("meanwhile-{calls}")).await;
    }
    bystander.works("after").await;
}

/// More than the descriptors that a process has by habit.
const CONNECTIONS: usize = 1_500;

#[tokio::test]
async fn connections_that_never_finish_a_request_disturb_nobody() {
    let dc = Datacenter::start().await;
    let mut bystander = Scheduler::subscribe(&dc.ready.master, "bystander", true).await;
    let address: SocketAddr =
        dc.ready.master.trim_start_matches("http://").parse().expect("an address");
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(address).await.expect("the master accepts");
        let part: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /api/v1/scheduler HTTP/1.1\r\nHost: m",
            _ => b"POST /api/v1/scheduler HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n{",
        };
        connection.write_all(part).await.expect("the master takes it");
        open.push(connection);
    }
    for round in 0..3 {
        tokio::time::timeout(
            Duration::from_secs(60),
            bystander.works(&format!("meanwhile-{round}")),
        )
        .await
        .expect("others are served");
    }
    let health = dc.http.get(format!("{}/health", dc.ready.master)).send().await;
    assert_eq!(health.expect("new connections are served").status(), 200);
    drop(open);
}
