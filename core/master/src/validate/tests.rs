use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::Call;
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

#[test]
fn the_least_that_is_worth_an_offer_is_an_amount() {
    let filters = |quantities: Value| {
        json!({"role": "web", "offer_filters": {
            "web": {"min_allocatable_resources": {"quantities": quantities}}}})
    };
    let cpus = |value: f64| json!([{"quantities": {"cpus": {"value": value}}}]);
    check_framework(filters(json!([])), &[], "ok");
    check_framework(filters(cpus(0.5)), &[], "ok");
    check_framework(
        filters(json!([{"quantities": {}}])),
        &[],
        "'FrameworkInfo.offer_filters' of role 'web' needs at least one quantity in each of 'min_allocatable_resources'",
    );
    check_framework(
        filters(cpus(-1.0)),
        &[],
        "'FrameworkInfo.offer_filters' of role 'web' asks for at least -1 cpus: must not be negative",
    );
    check_framework(
        filters(cpus(1e300)),
        &[],
        &format!(
            "'FrameworkInfo.offer_filters' of role 'web' asks for at least {} cpus: must be between -9e12 and 9e12",
            1e300
        ),
    );
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
    let place = task::Place { agent: &"a".into(), role: &role };
    let result = task::check(&info, place, false)
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
        "Task uses invalid resources: 'cpus' mixes revocable and non-revocable resources",
    );
    check_task(
        json!({"resources": [{"name": "gpus", "type": "SCALAR", "scalar": {"value": 0.5}}]}),
        "Task uses invalid resources: 'gpus' must be whole, not 0.5",
    );
    check_task(
        json!({"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "allocation_info": {"role": "x"}}]}),
        "Task uses invalid resources: 'cpus' is allocated to 'x', the offer is of '*'",
    );
    check_task(json!({"limits": {"cpus": {"value": 2}}}), "cpus:1");
    check_task(json!({"limits": {"cpus": {"value": "Infinity"}}}), "cpus:1");
    check_task(
        json!({"limits": {"cpus": {"value": 0.5}}}),
        "TaskInfo.limits of 'cpus' is 0.5, below the 1 that the task requests",
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
    check_task(json!({"executor": executor, "command": null}), "cpus:1");
    let huge =
        json!([{"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 9, "end": 1}]}}]);
    check_task(
        json!({"resources": huge}),
        "Task uses invalid resources: ranges of 'ports' is refused: range 9-1 ends before it begins",
    );
    check_task(
        json!({"resources": [cpus(9.1e12)]}),
        "Task uses invalid resources: scalar of 'cpus' is refused: must be between -9e12 and 9e12",
    );
    check_task(
        json!({"resources": [{"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "provider_id": {"value": "p"}}]}),
        "Task uses invalid resources: 'disk' is of the resource provider 'p', which does not exist",
    );
    check_task(
        json!({"resources": [{"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "shared": {}}]}),
        "Task uses invalid resources: 'disk' is shared and no persistent volume",
    );
    check_task(
        json!({"health_check": {"http": {"port": 80, "path": "x"}}}),
        "HealthCheck.http.path must start with a slash, not be 'x'",
    );
    check_task(
        json!({"health_check": {"http": {"port": 70000}}}),
        "HealthCheck.http.port must be a port number up to 65535, not 70000",
    );
    check_task(
        json!({"check": {"type": "TCP"}}),
        "CheckInfo must be of type COMMAND, HTTP or TCP and say how",
    );
    check_task(
        json!({"check": {"type": "COMMAND", "command": {"command": {}}}}),
        "CheckInfo.command must have a value or be without a shell",
    );
    check_task(
        json!({"kill_policy": {"grace_period": {"nanoseconds": -1}}}),
        "KillPolicy.grace_period must not be negative",
    );
    check_task(
        json!({"max_completion_time": {"nanoseconds": i64::MIN}}),
        "TaskInfo.max_completion_time must not be negative",
    );
    check_task(
        json!({"command": {"value": "x", "environment": {"variables": [{"name": "A"}]}}}),
        "TaskInfo.command.environment: variable 'A' of type VALUE must have a value",
    );
    check_task(
        json!({"container": {"type": "DOCKER"}}),
        "TaskInfo.container of type DOCKER must have 'docker' set",
    );
    check_task(
        json!({"container": {"type": "MESOS", "volumes": [{"mode": "RW", "container_path": "a", "host_path": "b", "source": {"type": "HOST_PATH"}}]}}),
        "TaskInfo.container.volumes: 'a' must have only one of 'host_path', 'image' and 'source'",
    );
}

#[track_caller]
fn check_executor(changes: Value, expected: &str) {
    let mut all = json!({
        "executor_id": {"value": "e"}, "type": "CUSTOM", "command": {"value": "x"},
        "resources": [cpus(1.0)],
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let info: v1::ExecutorInfo = serde_json::from_value(all).unwrap();
    let result = executor::check(&info, &"f".into(), &"*".into())
        .and_then(|resources| executor::is_custom(&info).map(|()| resources))
        .map_or_else(|error| error.to_string(), |resources| resources.to_string());
    assert_eq!(result, expected);
}

#[test]
fn executors_that_leave_things_to_their_defaults_are_the_same() {
    let executor = |command: Value| {
        let executor = json!({"executor_id": {"value": "e"}, "command": command});
        serde_json::from_value::<v1::ExecutorInfo>(executor).unwrap()
    };
    let own = executor(json!({"value": "x"}));
    let aloud = executor(json!({"value": "x", "shell": true}));
    assert!(own != aloud && executor::is_same(&own, &aloud));
    assert!(!executor::is_same(&own, &executor(json!({"value": "y"}))));
}

#[test]
fn executors_follow_the_rules() {
    check_executor(json!({}), "cpus:1");
    check_executor(json!({"type": null, "resources": []}), "");
    let custom = "ExecutorInfo of LAUNCH must be of type CUSTOM and have a command";
    check_executor(json!({"type": "DEFAULT", "command": null}), custom);
    check_executor(json!({"command": null}), custom);
    check_executor(
        json!({"executor_id": {"value": ".."}}),
        "ExecutorInfo.executor_id must not be '..'",
    );
    check_executor(
        json!({"framework_id": {"value": "g"}}),
        "ExecutorInfo has an invalid framework_id 'g', it must be 'f'",
    );
    check_executor(
        json!({"resources": [cpus(-1.0)]}),
        "Executor uses invalid resources: scalar of 'cpus' must not be negative",
    );
    check_executor(
        json!({"shutdown_grace_period": {"nanoseconds": -5}}),
        "'ExecutorInfo.shutdown_grace_period' must not be negative",
    );
}
