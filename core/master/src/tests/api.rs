use karman_api::codec::Codec;
use karman_api::karman::discovery::{Message, TaskKey};
use karman_api::mesos::v1::master::Response as OperatorAnswer;
use karman_api::mesos::v1::scheduler::event::Type;
use karman_api::session::master_message::Body;
use serde_json::{Value, json};

use super::fakes::{Agent, Master, Scheduler, client, store};

async fn life_of_a_task(codec: Codec) {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut agent = Agent::register(&master, None, vec![]).await;
    let mut scheduler = Scheduler::subscribe(&master, codec, json!({})).await;
    let offer = scheduler.offer().await;
    assert_eq!(offer.agent_id.value, agent.id);
    assert_eq!(offer.hostname, "127.0.0.1");
    scheduler.launch(&offer, "t1").await;
    assert!(matches!(agent.told().await, Some(Body::Launch(it)) if it.tasks.len() == 1));

    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    let status = scheduler.status().await;
    assert_eq!(status.state().as_str_name(), "TASK_RUNNING");
    scheduler.acknowledge(&status).await;
    let Some(Body::Acknowledge(acknowledged)) = agent.told().await else {
        panic!("no acknowledgement")
    };
    assert_eq!(Some(acknowledged.uuid), status.uuid);

    scheduler.call(json!({"type": "KILL", "kill": {"task_id": {"value": "t1"}}})).await;
    assert!(matches!(agent.told().await, Some(Body::Kill(_))));
    agent.report(&scheduler.id, "t1", "TASK_KILLED").await;
    // What it held is offered at once, in spite of the filter of an hour.
    let mut kinds = vec![];
    for _ in 0..2 {
        kinds.push(scheduler.event().await.unwrap().r#type());
    }
    assert!(kinds.contains(&Type::Offers) && kinds.contains(&Type::Update), "{kinds:?}");
    master.stop().await;
}

#[tokio::test]
async fn a_task_lives_in_json() {
    life_of_a_task(Codec::Json).await;
}

#[tokio::test]
async fn a_task_lives_in_protobuf() {
    life_of_a_task(Codec::Protobuf).await;
}

#[tokio::test]
async fn the_second_of_two_gets_what_the_first_declines() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut first = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    let _agent = Agent::register(&master, None, vec![]).await;
    let offer = first.offer().await;
    let mut second = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    first.call(json!({"type": "DECLINE", "decline": {"offer_ids": [offer.id], "filters": {"refuse_seconds": 60}}})).await;
    let offer = second.offer().await;
    second.call(json!({"type": "DECLINE", "decline": {"offer_ids": [offer.id], "filters": {"refuse_seconds": 60}}})).await;
    // Filters end when their framework revives.
    first.call(json!({"type": "REVIVE"})).await;
    first.offer().await;
    master.stop().await;
}

#[tokio::test]
async fn the_newest_stream_of_a_framework_wins() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut old = Scheduler::subscribe(&master, Codec::Json, json!({"failover_timeout": 60})).await;
    let info = json!({"id": {"value": old.id}, "failover_timeout": 60});
    let new = Scheduler::subscribe(&master, Codec::Protobuf, info).await;
    assert_eq!(new.id, old.id);
    assert_ne!(new.stream, old.stream);
    assert_eq!(old.next(Type::Error).await.error.unwrap().message, "Framework failed over");
    assert!(old.event().await.is_none());
    new.call(json!({"type": "REVIVE"})).await;
    master.stop().await;
}

#[tokio::test]
async fn a_framework_that_hangs_up_is_removed() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let scheduler = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    let id = scheduler.id.clone();
    drop(scheduler);
    let gone = |state: &Value| state["completed_frameworks"][0]["id"] == json!(id);
    master.eventually("/state", gone).await;
    master.stop().await;
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut agent = Agent::register(&master, None, vec![]).await;
    let info = json!({"failover_timeout": 3600, "name": "kept"});
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, info.clone()).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "t1").await;
    let Some(Body::Launch(launch)) = agent.told().await else { panic!("no launch") };
    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    scheduler.status().await;
    let known = agent.has(&scheduler.id, launch.tasks[0].clone(), "TASK_RUNNING");
    master.stop().await;
    assert!(scheduler.event().await.is_none());
    assert!(agent.told().await.is_none());

    let master = Master::start(&store).await;
    let state = master.get("/state").await;
    assert_eq!(state["recovered_slaves"][0]["id"], json!(agent.id));
    assert_eq!(state["frameworks"][0]["name"], "kept");
    assert_eq!(state["frameworks"][0]["recovered"], true);
    let back = Agent::register(&master, Some(&agent.id), vec![known]).await;
    assert_eq!(back.id, agent.id);
    let mut info = info;
    info["id"] = json!({"value": scheduler.id});
    let mut again = Scheduler::subscribe(&master, Codec::Json, info).await;
    assert_eq!(again.id, scheduler.id);
    let offer = again.offer().await;
    assert_ne!(
        offer.id.value.split("-O").next(),
        scheduler.id.rsplit_once('-').map(|(master, _)| master)
    );
    again.call(json!({"type": "RECONCILE", "reconcile": {}})).await;
    assert_eq!(again.status().await.state().as_str_name(), "TASK_RUNNING");
    master.stop().await;
}

#[tokio::test]
async fn bad_calls_are_refused_with_the_right_code() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let scheduler = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    let url = format!("{}/api/v1/scheduler", master.url);
    let framework = scheduler.id.as_str();
    let revive = json!({"type": "REVIVE", "framework_id": {"value": framework}}).to_string();
    let stranger = json!({"type": "REVIVE", "framework_id": {"value": "x"}}).to_string();
    let subscribe =
        json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}})
            .to_string();
    let json_type = ("Content-Type", "application/json");
    let stream = ("Mesos-Stream-Id", scheduler.stream.as_str());
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16);
    let cases: Vec<Case<'_>> = vec![
        (&revive, vec![], 400),
        (&revive, vec![("Content-Type", "text/plain")], 415),
        ("{", vec![json_type], 400),
        ("{}", vec![json_type], 400),
        (r#"{"type":"UNKNOWN","framework_id":{"value":"x"}}"#, vec![json_type], 501),
        (&subscribe, vec![json_type, ("Accept", "text/html")], 406),
        (&subscribe, vec![json_type, stream], 400),
        (&stranger, vec![json_type, stream], 400),
        (&revive, vec![json_type], 400),
        (&revive, vec![json_type, ("Mesos-Stream-Id", "other")], 400),
        (&revive, vec![json_type, stream], 202),
    ];
    for (body, headers, expected) in cases {
        let mut request = client().post(&url).body(body.to_owned());
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status(), expected, "{body} {headers:?}");
    }
    assert_eq!(client().get(&url).send().await.unwrap().status(), 405);
    assert_eq!(client().get(format!("{}/nowhere", master.url)).send().await.unwrap().status(), 404);
    master.stop().await;
}

#[tokio::test]
async fn a_bad_framework_hears_why_on_its_stream() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n", "roles": ["a"]}}});
    let url = format!("{}/master/api/v1/scheduler", master.url);
    let response = client().post(url).json(&call).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(text.contains(r#""type":"ERROR""#) && text.contains("MULTI_ROLE"), "{text}");
    master.stop().await;
}

#[tokio::test]
async fn readers_see_agents_frameworks_and_tasks() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let mut agent = Agent::register(&master, None, vec![]).await;
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, json!({"name": "web"})).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "t1").await;
    agent.told().await;
    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    scheduler.status().await;
    let running = |tasks: &Value| tasks["tasks"][0]["state"] == "TASK_RUNNING";
    let tasks = master.eventually("/master/tasks.json?task_id=t1", running).await;
    assert_eq!(tasks["tasks"][0]["resources"]["ports"], "[31000-31000]");

    let state = master.get("/master/state").await;
    assert_eq!(state["cluster"], "test");
    assert_eq!(state["activated_slaves"], 1);
    assert_eq!(state["leader_info"]["hostname"], "127.0.0.1");
    assert_eq!(state["slaves"][0]["pid"], "slave(1)@127.0.0.1:5051");
    assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 1.0);
    assert_eq!(state["slaves"][0]["unreserved_resources_full"][0]["role"], "*");
    assert_eq!(state["frameworks"][0]["tasks"][0]["slave_id"], json!(agent.id));
    let summary = master.get("/state-summary").await;
    assert_eq!(summary["slaves"][0]["TASK_RUNNING"], 1);
    assert_eq!(summary["frameworks"][0]["slave_ids"], json!([agent.id]));
    assert_eq!(master.get("/slaves?slave_id=none").await["slaves"], json!([]));
    assert_eq!(master.get("/frameworks/").await["frameworks"][0]["name"], "web");
    assert_eq!(master.get("/roles").await["roles"][0]["allocated"]["cpus"], 1.0);
    assert_eq!(master.get("/version").await["version"], "1.2.3");
    let metrics = master.get("/metrics/snapshot").await;
    assert_eq!(metrics["master/tasks_running"], 1.0);
    assert_eq!(metrics["master/cpus_percent"], 0.25);
    let bad = client().get(format!("{}/tasks?limit=x", master.url)).send().await.unwrap();
    assert_eq!(bad.status(), 400);
    master.stop().await;
}

#[tokio::test]
async fn operators_read_and_tear_down_in_both_codecs() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let agent = Agent::register(&master, None, vec![]).await;
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    master.eventually("/state", |state| state["frameworks"][0]["active"] == json!(true)).await;
    let url = format!("{}/api/v1", master.url);
    for codec in [Codec::Json, Codec::Protobuf] {
        for kind in [
            "GET_STATE",
            "GET_AGENTS",
            "GET_FRAMEWORKS",
            "GET_TASKS",
            "GET_VERSION",
            "GET_HEALTH",
            "GET_MASTER",
            "GET_ROLES",
        ] {
            let request = client()
                .post(&url)
                .header("Accept", codec.media_type())
                .json(&json!({"type": kind}));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200, "{kind}");
            let answer: OperatorAnswer = codec.decode(&response.bytes().await.unwrap()).unwrap();
            assert_eq!(answer.r#type().as_str_name(), kind);
            if let Some(agents) = answer.get_agents {
                assert_eq!(agents.agents[0].agent_info.id.as_ref().unwrap().value, agent.id);
            }
        }
    }
    let post = |body: Value| client().post(&url).json(&body).send();
    assert_eq!(post(json!({"type": "TEARDOWN"})).await.unwrap().status(), 400);
    let teardown =
        |id: &str| json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": id}}});
    assert_eq!(post(teardown("nobody")).await.unwrap().status(), 400);
    assert_eq!(post(teardown(&scheduler.id)).await.unwrap().status(), 200);
    while let Some(event) = scheduler.event().await {
        assert_ne!(event.r#type(), Type::Error);
    }
    master.stop().await;
}

#[tokio::test]
async fn discovery_is_pushed() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let url = format!("{}/karman/v1/discovery", master.url);
    let mut response = client().get(url).send().await.unwrap();
    let mut buffer = Vec::new();
    let full = next_line(&mut response, &mut buffer).await;
    assert!(full.full && full.tasks.is_empty() && full.leader.is_some());

    let mut agent = Agent::register(&master, None, vec![]).await;
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "t1").await;
    agent.told().await;
    agent.report(&scheduler.id, "t1", "TASK_RUNNING").await;
    let mut generation = full.generation;
    let mut seen = Message::default();
    while seen.tasks.is_empty() {
        seen = next_line(&mut response, &mut buffer).await;
        assert!(seen.generation <= generation + 1, "no generation is skipped");
        generation = seen.generation;
    }
    assert_eq!(seen.tasks[0].id, "t1");
    assert_eq!(seen.tasks[0].host_ports, [31000]);
    assert_eq!(seen.tasks[0].discovery.as_ref().unwrap().name.as_deref(), Some("web"));
    agent.report(&scheduler.id, "t1", "TASK_FINISHED").await;
    while seen.removed_tasks.is_empty() {
        seen = next_line(&mut response, &mut buffer).await;
    }
    let gone = TaskKey { framework_id: scheduler.id.clone(), id: "t1".into() };
    assert_eq!(seen.removed_tasks, [gone]);
    master.stop().await;
}

async fn next_line(response: &mut reqwest::Response, buffer: &mut Vec<u8>) -> Message {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            return serde_json::from_slice(&line).unwrap();
        }
        buffer.extend_from_slice(&response.chunk().await.unwrap().expect("the stream goes on"));
    }
}

#[tokio::test]
async fn operations_are_shown_until_they_are_acknowledged() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let _agent = Agent::register(&master, None, vec![]).await;
    let info = json!({"roles": ["r"], "capabilities":
        [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]});
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, info).await;
    let offer = scheduler.offer().await;
    let reserved = json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1},
        "allocation_info": {"role": "r"}, "reservations": [{"type": "DYNAMIC", "role": "r"}]}]);
    let operation = json!({"type": "RESERVE", "id": {"value": "op"},
        "reserve": {"resources": reserved}});
    scheduler
        .call(json!({"type": "ACCEPT", "accept":
            {"offer_ids": [offer.id], "operations": [operation]}}))
        .await;
    let update = scheduler.next(Type::UpdateOperationStatus).await.update_operation_status;
    let status = update.unwrap().status;
    assert_eq!(status.state().as_str_name(), "OPERATION_FINISHED");
    let shown = master.operations(1).await;
    assert_eq!(shown[0]["info"]["id"]["value"], "op");
    assert_eq!(shown[0]["latest_status"]["state"], "OPERATION_FINISHED");

    scheduler
        .call(json!({"type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status":
            {"agent_id": offer.agent_id, "operation_id": {"value": "op"},
             "uuid": shown[0]["uuid"]["value"]}}))
        .await;
    master.operations(0).await;
    master.stop().await;
}
