//! What bad requests are answered with.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::fakes::{Agent, Master, Scheduler, client, store};
use karman_api::codec::Codec;

const JSON: &str = "application/json";

async fn send(request: RequestBuilder) -> (u16, String) {
    let response: Response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[track_caller]
fn check(what: &str, (status, text): (u16, String), wanted: u16, says: &str) {
    assert_eq!(status, wanted, "{what}: {text}");
    assert!(text.contains(says), "{what} should say '{says}': {text}");
}

#[tokio::test]
async fn transport_is_checked_before_calls() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let at = |path: &str| format!("{}{path}", master.url);
    for path in ["/api/v1", "/api/v1/scheduler", "/master/api/v1/"] {
        let url = at(path);
        let get = send(client().get(&url)).await;
        check(path, get, 405, "POST");
        check(path, send(client().post(&url).body("{}")).await, 400, "Content-Type");
        let xml = client().post(&url).header(CONTENT_TYPE, "text/xml").body("x");
        check(path, send(xml).await, 415, "application/json");
        for garbage in ["", "{", "[]", "nonsense", "17\n{\"type\":\"SUBSCRIBE\"}", "{\"type\": 5}"]
        {
            let garbled = client().post(&url).header(CONTENT_TYPE, JSON).body(garbage);
            check(path, send(garbled).await, 400, "");
        }
        let garbled = client().post(&url).header(CONTENT_TYPE, "application/x-protobuf");
        check(path, send(garbled.body(vec![0xff; 64])).await, 400, "protobuf");
        // Parameters and unknown types.
        let lenient = |body: Value| {
            let request =
                client().post(&url).header(CONTENT_TYPE, "Application/JSON; charset=utf-8");
            request.body(body.to_string())
        };
        check(path, send(lenient(json!({}))).await, 400, "type");
        check(path, send(lenient(json!({"type": "NO_SUCH_CALL"}))).await, 400, "type");
    }
    let unknown = client().post(at("/api/v1")).json(&json!({"type": "UNKNOWN"}));
    check("unknown", send(unknown).await, 501, "");
    let unacceptable =
        |path: &str, call: Value| client().post(at(path)).header(ACCEPT, "text/html").json(&call);
    let version = json!({"type": "GET_VERSION"});
    check("version", send(unacceptable("/api/v1", version)).await, 406, "Accept");
    let subscribe =
        json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}});
    check(
        "scheduler",
        send(unacceptable("/api/v1/scheduler", subscribe.clone())).await,
        406,
        "Accept",
    );
    let with_stream =
        client().post(at("/api/v1/scheduler")).header("Mesos-Stream-Id", "x").json(&subscribe);
    check("scheduler", send(with_stream).await, 400, "Mesos-Stream-Id");
    check("nowhere", send(client().get(at("/nowhere"))).await, 404, "");
    master.stop().await;
}

#[tokio::test]
async fn bodies_may_be_packed_but_not_too_large() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let url = format!("{}/api/v1", master.url);
    let pack = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let post = |encoding: &str, body: Vec<u8>| {
        let request = client().post(&url).header(CONTENT_TYPE, JSON);
        send(request.header(CONTENT_ENCODING, encoding).body(body))
    };
    let call = br#"{"type": "GET_HEALTH"}"#;
    check("packed", post("gzip", pack(call)).await, 200, "healthy");
    check("plain", post("identity", call.to_vec()).await, 200, "healthy");
    check("not packed", post("gzip", call.to_vec()).await, 400, "gzip");
    check("other", post("br", call.to_vec()).await, 415, "gzip");
    let bomb = pack(&vec![b' '; karman_rt::http::BODY_BYTES_MAX + 1]);
    check("bomb", post("gzip", bomb).await, 413, "bytes");
    let large = vec![b' '; karman_rt::http::BODY_BYTES_MAX + 1];
    check("large", post("identity", large).await, 413, "");
    let (status, _) = master.ask(json!({"type": "GET_HEALTH"})).await;
    assert_eq!(status, 200);
    master.stop().await;
}

#[tokio::test]
async fn scheduler_calls_pass_the_gate_in_order() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let scheduler =
        Scheduler::subscribe(&master, Codec::Json, json!({"failover_timeout": 60})).await;
    let url = format!("{}/api/v1/scheduler", master.url);
    let call = |framework: &str, stream: Option<&str>, rest: Value| {
        let mut call = json!({"framework_id": {"value": framework}});
        call.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let mut request = client().post(&url).json(&call);
        if let Some(stream) = stream {
            request = request.header("Mesos-Stream-Id", stream);
        }
        send(request)
    };
    let revive = || json!({"type": "REVIVE"});
    let (id, stream) = (scheduler.id.clone(), scheduler.stream.clone());
    check("stranger", call("nobody", None, revive()).await, 400, "Framework cannot be found");
    check("no stream", call(&id, None, revive()).await, 400, "Mesos-Stream-Id");
    check("wrong stream", call(&id, Some("x"), revive()).await, 400, "stream ID");
    check("right", call(&id, Some(&stream), revive()).await, 202, "");
    for (rest, says) in [
        (json!({"type": "ACCEPT"}), "accept"),
        (json!({"type": "KILL"}), "kill"),
        (json!({"type": "KILL", "kill": {}}), "task_id"),
        (json!({"type": "RECONCILE_OPERATIONS"}), "reconcile_operations"),
        (
            json!({"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": {"value": "a"},
            "task_id": {"value": "t"}, "uuid": "AAAA"}}),
            "UUID",
        ),
        (
            json!({"type": "MESSAGE", "message": {"agent_id": {"value": "a"},
            "executor_id": {"value": "e"}, "data": "?"}}),
            "base64",
        ),
    ] {
        check(says, call(&id, Some(&stream), rest).await, 400, says);
    }
    let update = |info: Value, constraints: Value| {
        let mut info = info;
        info.as_object_mut()
            .unwrap()
            .extend(json!({"id": {"value": id}}).as_object().unwrap().clone());
        let update = json!({"framework_info": info, "offer_constraints": constraints});
        call(&id, Some(&stream), json!({"type": "UPDATE_FRAMEWORK", "update_framework": update}))
    };
    let info = json!({"user": "u", "name": "renamed", "failover_timeout": 60});
    let constraints = json!({"role_constraints": {"*": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "rack"}, "predicate": {"exists": {}}}]}]}}});
    check("update", update(info.clone(), constraints.clone()).await, 200, "");
    let mut other_user = info;
    other_user["user"] = json!("other");
    check("update", update(other_user, Value::Null).await, 400, "user");
    let known = |state: &Value| {
        let framework = &state["frameworks"][0];
        framework["name"] == "renamed" && framework["offer_constraints"] == constraints
    };
    master.eventually("/state", known).await;
    drop(scheduler);
    let away = |state: &Value| state["frameworks"][0]["active"] == json!(false);
    master.eventually("/state", away).await;
    check("away", call(&id, Some(&stream), revive()).await, 403, "not subscribed");
    master.stop().await;
}

#[tokio::test]
async fn operator_calls_need_their_parts() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let _agent = Agent::register(&master, None, vec![]).await;
    for kind in [
        "GET_METRICS",
        "SET_LOGGING_LEVEL",
        "LIST_FILES",
        "READ_FILE",
        "UPDATE_WEIGHTS",
        "RESERVE_RESOURCES",
        "UNRESERVE_RESOURCES",
        "CREATE_VOLUMES",
        "DESTROY_VOLUMES",
        "GROW_VOLUME",
        "SHRINK_VOLUME",
        "UPDATE_MAINTENANCE_SCHEDULE",
        "START_MAINTENANCE",
        "STOP_MAINTENANCE",
        "DRAIN_AGENT",
        "DEACTIVATE_AGENT",
        "REACTIVATE_AGENT",
        "UPDATE_QUOTA",
        "SET_QUOTA",
        "REMOVE_QUOTA",
        "TEARDOWN",
        "MARK_AGENT_GONE",
    ] {
        let (status, says) = master.ask(json!({"type": kind})).await;
        let part = kind.to_lowercase();
        assert_eq!((status, says), (400, json!(format!("Expecting '{part}' to be present"))));
    }
    let nobody = json!({"value": "nobody"});
    for (call, wanted) in [
        (json!({"type": "TEARDOWN", "teardown": {"framework_id": nobody}}), 400),
        (json!({"type": "READ_FILE", "read_file": {"path": "/etc/passwd", "offset": 0}}), 404),
        (json!({"type": "LIST_FILES", "list_files": {"path": "/"}}), 404),
        (
            json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": nobody, "max_grace_period": "ten"}}),
            400,
        ),
        (
            json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": nobody, "max_grace_period": {"seconds": -1}}}),
            400,
        ),
        (
            json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": 1, "duration": {"nanoseconds": -1}}}),
            400,
        ),
    ] {
        let (status, says) = master.ask(call.clone()).await;
        assert_eq!(status, wanted, "{call}: {says}");
    }
    master.stop().await;
}

#[tokio::test]
async fn old_endpoints_check_methods_and_values() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let at = |path: &str| format!("{}{path}", master.url);
    for (method, path, body, wanted) in [
        (Method::POST, "/state", "", 405),
        (Method::POST, "/master/metrics/snapshot", "", 405),
        (Method::GET, "/reserve", "", 405),
        (Method::GET, "/machine/down", "", 405),
        (Method::PUT, "/quota", "", 405),
        (Method::POST, "/weights", "", 405),
        (Method::DELETE, "/maintenance/schedule", "", 405),
        (Method::POST, "/reserve", "", 400),
        (Method::POST, "/reserve", "slaveId=a", 400),
        (Method::POST, "/unreserve", "slaveId=a&resources={", 400),
        (Method::POST, "/create-volumes", "slaveId=a&volumes=5", 400),
        (Method::POST, "/destroy-volumes", "volumes=[]", 400),
        (Method::POST, "/teardown", "", 400),
        (Method::POST, "/teardown", "frameworkId=nobody", 400),
        (Method::POST, "/quota", "{", 400),
        (Method::POST, "/quota", "[]", 400),
        (Method::DELETE, "/quota", "", 400),
        (Method::DELETE, "/quota/nobody", "", 400),
        (Method::PUT, "/weights", "{\"a\": 1}", 400),
        (Method::PUT, "/weights", "[[2, \"a\"]]", 400),
        (Method::POST, "/machine/down", "[[\"h\"]]", 400),
        (Method::POST, "/reserve", "slaveId=a&resources=[[]]", 400),
        (Method::POST, "/karman/v1/explain/offers", "", 405),
        (Method::POST, "/allocator/offer_constraints_debug", "", 405),
        (Method::POST, "/karman/v1/discovery", "", 405),
        (Method::GET, "/metrics/prometheus", "", 200),
        (Method::GET, "/allocator", "", 404),
        (Method::PUT, "/weights", "[{\"role\": \"a\", \"weight\": -1}]", 400),
        (Method::POST, "/maintenance/schedule", "[]", 400),
        (Method::POST, "/machine/down", "5", 400),
        (Method::GET, "/tasks?limit=x", "", 400),
        (Method::GET, "/metrics/snapshot?timeout=x", "", 400),
        (Method::GET, "/metrics/snapshot?timeout=5secs", "", 200),
        (Method::GET, "/files/read", "", 400),
        (Method::GET, "/files/read?path=/etc/passwd", "", 404),
        (Method::GET, "/files/read?path=/master/log&offset=x", "", 400),
        (Method::GET, "/files/read?path=/master/log&offset=-2", "", 400),
        (Method::GET, "/files/read?path=/master/log", "", 200),
        (Method::GET, "/files/browse?path=/master/", "", 200),
        (Method::GET, "/files/download.json?path=/master/log", "", 200),
        (Method::GET, "/files/debug", "", 200),
        (Method::GET, "/logging/toggle?level=1", "", 400),
        (Method::GET, "/logging/toggle?duration=1secs", "", 400),
        (Method::GET, "/logging/toggle?level=-1&duration=1secs", "", 400),
        (Method::GET, "/logging/toggle?level=1&duration=1", "", 400),
        (Method::GET, "/health", "", 200),
        (Method::HEAD, "/master/state", "", 200),
    ] {
        let request = client().request(method.clone(), at(path)).body(body);
        check(&format!("{method} {path} {body}"), send(request).await, wanted, "");
    }
    for (call, says) in [
        (json!([]), "an object (Call"),
        (
            json!({"type": "TEARDOWN", "teardown": ["x"]}),
            "an object (Teardown with 'framework_id')",
        ),
        (
            json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [["role"]]}}),
            "an object (QuotaConfig",
        ),
    ] {
        check(says, send(client().post(at("/api/v1")).json(&call)).await, 400, says);
    }
    let padded = send(client().get(at("/version?jsonp=a.b"))).await;
    check("jsonp", padded, 200, "a.b({");
    let padded = send(client().get(at("/version?jsonp=alert(1)"))).await;
    check("jsonp", padded, 200, "{\"version\"");
    master.stop().await;
}
