use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::Call;
use karman_model::id::AgentId;
use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check_call(call: Value, expected: &str) {
    let call: Call = serde_json::from_value(call).unwrap();
    let result = call::check(&call).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    assert_eq!(result, expected);
}

#[test]
fn calls_must_have_their_parts() {
    let id = json!({"value": "f"});
    check_call(json!({}), "Expecting 'type' to be present");
    check_call(json!({"type": "KILL"}), "Expecting 'framework_id' to be present");
    check_call(json!({"type": "KILL", "framework_id": id}), "Expecting 'kill' to be present");
    check_call(json!({"type": "SUBSCRIBE"}), "Expecting 'subscribe' to be present");
    check_call(json!({"type": "REVIVE", "framework_id": id}), "ok");
    check_call(json!({"type": "TEARDOWN", "framework_id": id}), "ok");
    let acknowledge = |uuid: &str| {
        json!({"type": "ACKNOWLEDGE", "framework_id": id, "acknowledge":
            {"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": uuid}})
    };
    check_call(acknowledge("AAAA"), "Not a valid UUID");
    check_call(acknowledge("AAAAAAAAAAAAAAAAAAAAAA=="), "ok");
}

#[test]
fn a_subscription_names_one_framework() {
    let subscribe = |outer: Value, inner: Value| {
        json!({"type": "SUBSCRIBE", "framework_id": outer, "subscribe":
            {"framework_info": {"user": "u", "name": "n", "id": inner}}})
    };
    check_call(subscribe(Value::Null, Value::Null), "ok");
    check_call(subscribe(json!({"value": "f"}), json!({"value": "f"})), "ok");
    let different = "'framework_id' differs from 'subscribe.framework_info.id'";
    check_call(subscribe(json!({"value": "f"}), Value::Null), different);
    check_call(subscribe(json!({"value": "f"}), json!({"value": "g"})), different);
}

#[track_caller]
fn check_framework(info: Value, suppressed: &[&str], expected: &str) {
    let mut all = json!({"user": "u", "name": "n"});
    all.as_object_mut().unwrap().extend(info.as_object().unwrap().clone());
    let info: v1::FrameworkInfo = serde_json::from_value(all).unwrap();
    let suppressed: Vec<String> = suppressed.iter().map(|role| (*role).to_owned()).collect();
    let result = framework::check(&info, &suppressed, None)
        .map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    assert_eq!(result, expected);
}

#[test]
fn roles_follow_the_capability() {
    let multi = json!([{"type": "MULTI_ROLE"}]);
    check_framework(json!({}), &[], "ok");
    check_framework(json!({"role": "web"}), &["web"], "ok");
    check_framework(json!({"roles": ["a"], "capabilities": multi}), &[], "ok");
    check_framework(
        json!({"roles": ["a"]}),
        &[],
        "'FrameworkInfo.roles' must not be set without the MULTI_ROLE capability",
    );
    check_framework(
        json!({"role": "a", "capabilities": multi}),
        &[],
        "'FrameworkInfo.role' must not be set with the MULTI_ROLE capability",
    );
    check_framework(
        json!({"roles": ["a", "a"], "capabilities": multi}),
        &[],
        "'FrameworkInfo.roles' contains 'a' twice",
    );
    check_framework(
        json!({"role": "a b"}),
        &[],
        "'FrameworkInfo.roles': role 'a b' must not contain white space or control characters",
    );
    check_framework(
        json!({}),
        &["web"],
        "Suppressed role 'web' is not one of the framework's roles",
    );
    check_framework(
        json!({"failover_timeout": -1}),
        &[],
        "'FrameworkInfo.failover_timeout' must be a number of seconds",
    );
    check_framework(
        json!({"id": {"value": "a/b"}}),
        &[],
        "'FrameworkInfo.id' must not contain the character '/'",
    );
}

#[test]
fn a_principal_does_not_change_and_a_user_stays() {
    let old =
        v1::FrameworkInfo { user: "u".into(), principal: Some("p".into()), ..Default::default() };
    let new = v1::FrameworkInfo {
        user: "other".into(),
        principal: Some("q".into()),
        ..Default::default()
    };
    assert_eq!(
        framework::check(&new, &[], Some(&old)),
        Err(framework::Error::Changed("principal"))
    );
    let new = v1::FrameworkInfo { principal: Some("p".into()), ..new };
    assert_eq!(framework::check(&new, &[], Some(&old)), Ok(()));
    assert_eq!(
        framework::check_update(&new, &[], Some(&old)),
        Err(framework::Error::Changed("user"))
    );
    assert_eq!(framework::merge(new, &old).user, "u");
}

fn cpus(amount: f64) -> Value {
    json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}})
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let mut info = v1::FrameworkInfo { user: "u".into(), name: "n".into(), ..Default::default() };
    assert_eq!(framework::check(&info, &[], None), Ok(()));
    info.name = "n".repeat(INFO_BYTES_MAX);
    assert_eq!(framework::check(&info, &[], None), Err(framework::Error::Large));
}

#[track_caller]
fn check_task(changes: Value, expected: &str) {
    let mut all = json!({
        "name": "t", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
        "command": {"value": "true"}, "resources": [cpus(1.0)],
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut info: v1::TaskInfo = serde_json::from_value(all).unwrap();
    let role = "*".into();
    task::complete(&mut info, &role);
    let result = task::check(&info, &AgentId::from("a"), &role, false)
        .map_or_else(|error| error.to_string(), |resources| resources.to_string());
    assert_eq!(result, expected);
}

#[test]
fn tasks_follow_the_rules() {
    check_task(json!({}), "cpus:1");
    check_task(json!({"task_id": {"value": ""}}), "TaskInfo.task_id must not be empty");
    check_task(
        json!({"task_id": {"value": "a/b"}}),
        "TaskInfo.task_id must not contain the character '/'",
    );
    check_task(json!({"agent_id": {"value": "b"}}), "Task uses invalid agent b, the offer is of a");
    let both =
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present";
    check_task(json!({"command": null}), both);
    check_task(json!({"resources": []}), "Task uses no resources");
    check_task(json!({"resources": [cpus(0.0)]}), "Task uses no resources");
    check_task(
        json!({"resources": [cpus(-1.0)]}),
        "Task uses invalid resources: scalar of 'cpus' must not be negative",
    );
    check_task(
        json!({"resources": [cpus(1.0), {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "revocable": {}}]}),
        "Task mixes revocable and non-revocable 'cpus'",
    );
    check_task(
        json!({"resources": [{"name": "gpus", "type": "SCALAR", "scalar": {"value": 0.5}}]}),
        "Task must use whole gpus",
    );
    check_task(
        json!({"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "allocation_info": {"role": "x"}}]}),
        "Task uses resources allocated to 'x', the offer is of '*'",
    );
    check_task(json!({"limits": {"cpus": {"value": 2}}}), "cpus:1");
    check_task(json!({"limits": {"cpus": {"value": "Infinity"}}}), "cpus:1");
    check_task(
        json!({"limits": {"cpus": {"value": 0.5}}}),
        "TaskInfo.limits of 'cpus' is below what the task requests",
    );
    check_task(
        json!({"limits": {"disk": {"value": 1}}}),
        "TaskInfo.limits can only limit 'cpus' and 'mem', not 'disk'",
    );
    check_task(json!({"health_check": {"http": {"port": 80}}}), "cpus:1");
    check_task(
        json!({"health_check": {}}),
        "HealthCheck must be of type COMMAND, HTTP or TCP and say how",
    );
    check_task(
        json!({"health_check": {"tcp": {"port": 80}, "delay_seconds": -1}}),
        "HealthCheck.delay_seconds must not be negative",
    );
    let executor =
        json!({"executor_id": {"value": "e"}, "type": "CUSTOM", "command": {"value": "x"}});
    check_task(json!({"executor": executor}), both);
    check_task(
        json!({"executor": executor, "command": null}),
        "tasks with an executor of their own are not supported by this release",
    );
    check_task(
        json!({"executor": {"executor_id": {"value": "e"}, "type": "DEFAULT"}, "command": null}),
        "ExecutorInfo of LAUNCH must be of type CUSTOM and have a command",
    );
}
