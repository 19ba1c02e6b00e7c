use expect_test::{Expect, expect};
use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// Reads a body and compares what comes out: the app, or the errors.
#[track_caller]
fn check(body: Value, expected: Expect) {
    let outcome = match read(&object(body), None) {
        Ok(app) => serde_json::to_string(&app).unwrap(),
        Err(invalid) => {
            let lines = invalid.details.iter().map(|detail| {
                format!("{} {}: {}", invalid.status(), detail.path, detail.errors.join("; "))
            });
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    expected.assert_eq(&outcome);
}

#[test]
fn defaults_are_filled_in() {
    check(
        json!({"id": "web", "cmd": "sleep 100"}),
        expect![[
            r#"{"id":"/web","cmd":"sleep 100","labels":{},"instances":1,"cpus":1,"mem":128,"disk":0,"gpus":0,"executor":"","networks":[{"mode":"host"}],"portDefinitions":[{"port":0,"protocol":"tcp","name":"default"}],"requirePorts":false,"upgradeStrategy":{"minimumHealthCapacity":1,"maximumOverCapacity":1},"backoffSeconds":1,"backoffFactor":1.15,"maxLaunchDelaySeconds":300,"killSelection":"YOUNGEST_FIRST","unreachableStrategy":{"inactiveAfterSeconds":0,"expungeAfterSeconds":0}}"#
        ]],
    );
}

#[test]
fn older_spellings_become_the_present_ones() {
    let body = json!({
        "id": "/a/web/", "args": ["x"], "ports": [0, 8080], "uris": ["http://h/a.tgz", "http://h/a"],
        "dependencies": ["db", "/b"], "constraints": [["hostname", "unique"]], "container": null,
        "healthChecks": [{"path": "/health"}], "secrets": {}, "unknown": 1, "version": "x",
        "unreachableStrategy": "disabled", "instances": 3.0,
    });
    let app = read(&object(body), None).unwrap();
    assert_eq!(app.port_definitions.iter().map(|port| port.port).collect::<Vec<_>>(), [0, 8080]);
    assert_eq!(app.fetch.iter().map(|one| one.extract).collect::<Vec<_>>(), [true, false]);
    assert_eq!(app.dependencies, ["/a/db", "/b"]);
    assert_eq!(app.constraints, [["hostname", "UNIQUE"]]);
    assert_eq!(app.health_checks.first().and_then(|check| check.port_index), Some(0));
    assert_eq!(app.unreachable_strategy, UnreachableStrategy::Disabled(Disabled::Disabled));
    assert_eq!(app.instances, 3);
    let text = serde_json::to_string(&app).unwrap();
    assert_eq!(serde_json::from_str::<App>(&text).unwrap(), app);
}

#[test]
fn every_mistake_is_reported_at_once() {
    check(
        json!({
            "id": "/Web", "cmd": "x", "args": ["a"], "instances": -1, "cpus": 0, "mem": "much",
            "disk": -5, "backoffFactor": 0.5, "env": {"A": 1, "B": {"secret": "s"}},
            "upgradeStrategy": {"minimumHealthCapacity": 2, "maximumOverCapacity": -1},
            "portDefinitions": [{"port": 70000}, {"port": 80, "name": "A"}, {"port": 80, "protocol": "sctp"}],
            "constraints": [["rack", "NEAR"], ["rack", "MAX_PER", "x"], ["rack"], 7],
            "healthChecks": [{"protocol": "COMMAND"}, {"portIndex": 9}],
            "killSelection": "RANDOM", "acceptedResourceRoles": [], "role": "dev",
            "unreachableStrategy": {"inactiveAfterSeconds": 5, "expungeAfterSeconds": 1},
            "dependencies": ["/A"], "fetch": [{}, {"uri": "a b"}],
            "labels": {"DCOS_MIGRATION_API_VERSION": "v2", "MARATHON_SINGLE_INSTANCE_APP": "true"},
        }),
        expect![[r#"
            422 /id: must consist of segments of lower-case letters, digits, inner dashes and dots, separated by slashes
            422 /portDefinitions(0)/port: must be at most 65535
            422 /portDefinitions(2)/protocol: must be one of tcp, udp, udp,tcp
            422 /env/A: must be a text
            422 /env/B: refers to a secret, but the feature secrets is not enabled
            422 /instances: must be at least 0
            422 /cpus: must be at least 0.001
            422 /mem: must be a number
            422 /disk: must be at least 0
            422 /healthChecks: must not hold more than one check
            422 /healthChecks(0)/command: is required for protocol COMMAND, as {"value": …}
            422 /healthChecks(1)/portIndex: must be less than the number of ports of the app, which is 3
            422 /fetch(0)/uri: is required
            422 /fetch(1)/uri: must be a URI of 1 to 1024 characters without spaces
            422 /constraints(3): must be a list of field, operator and sometimes a value
            422 /upgradeStrategy/minimumHealthCapacity: must be at most 1
            422 /upgradeStrategy/maximumOverCapacity: must be at least 0
            422 /backoffFactor: must be at least 1
            422 /killSelection: must be one of YOUNGEST_FIRST, OLDEST_FIRST
            422 /unreachableStrategy/inactiveAfterSeconds: must not be larger than expungeAfterSeconds
            422 /dependencies(0): must consist of segments of lower-case letters, digits, inner dashes and dots, separated by slashes
            422 /cmd: must not be given together with args; must be longer than one character
            422 /portDefinitions(1)/name: must consist of lower-case letters, digits and inner dashes
            422 /portDefinitions: port 80 is given more than once
            422 /constraints(0): the operator must be one of UNIQUE, CLUSTER, GROUP_BY, MAX_PER, LIKE, UNLIKE, IS
            422 /constraints(1): MAX_PER needs a whole number as value
            422 /constraints(2): must hold a field, an operator and sometimes a value
            422 /role: must be *, the only role of this orchestrator
            422 /acceptedResourceRoles: must not be empty
            422 /upgradeStrategy: both capacities must be 0 with the label MARATHON_SINGLE_INSTANCE_APP
            422 /labels/DCOS_MIGRATION_API_VERSION: must be v1
            422 /labels/DCOS_PACKAGE_FRAMEWORK_NAME: is required with the label DCOS_MIGRATION_API_VERSION
            422 /labels/DCOS_MIGRATION_API_PATH: is required with the label DCOS_MIGRATION_API_VERSION"#]],
    );
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    check(
        json!({
            "id": "/web", "cmd": "sleep 1", "gpus": 1, "tty": true, "executor": "/bin/x",
            "container": {"docker": {"image": "nginx", "network": "BRIDGE"},
                "volumes": [{"persistent": {"size": 1}, "containerPath": "data", "mode": "RW"}],
                "portMappings": [{}]},
            "networks": [{"mode": "container", "name": "dcos"}],
            "ipAddress": {"groups": ["a"]}, "readinessChecks": [{}], "check": {"tcp": {}},
            "secrets": {"a": {"source": "b"}}, "residency": {"taskLostBehavior": "WAIT_FOREVER"},
            "resourceLimits": {"cpus": 2}, "executorResources": {"cpus": 1},
        }),
        expect![[r#"
            422 /secrets: the feature secrets is not enabled
            422 /ipAddress: container networks are not available in this release; use portDefinitions
            422 /readinessChecks: readiness checks are not available in this release; use healthChecks
            422 /check: checks are not available in this release; use healthChecks
            422 /resourceLimits: limits above the request are not available in this release
            422 /executorResources: tasks run without an executor whose resources could be set
            422 /residency: persistent volumes are not available in this release
            422 /tty: terminals are not available in this release
            422 /gpus: the feature gpu_resources is not enabled
            422 /executor: custom executors are not available in this release
            422 /container/docker/network: container networks are not available in this release; use HOST
            422 /container/portMappings: container networks are not available, so ports cannot be mapped by this release; leave it out
            422 /container/volumes(0)/persistent: only host volumes can be mounted by this release; give hostPath
            422 /container/volumes(0)/hostPath: is required
            422 /networks(0)/mode: container networks are not available in this release; use host
            422 /networks(0)/name: must not be given for the host network"#]],
    );
}

#[test]
fn images_and_folders_of_the_machine() {
    let app = |container: Value| {
        let body = json!({"id": "/web", "container": container});
        let Value::Object(body) = body else { unreachable!() };
        read(&body, None).map(|app| serde_json::to_value(app.container).unwrap())
    };
    let given = json!({"docker": {"image": "nginx:1", "parameters": [{"key": "init", "value": "true"}]},
        "volumes": [{"containerPath": "/data", "hostPath": "/srv", "mode": "RO"}]});
    assert_eq!(
        app(given).unwrap(),
        json!({"type": "DOCKER",
            "docker": {"image": "nginx:1", "forcePullImage": false, "privileged": false,
                "parameters": [{"key": "init", "value": "true"}]},
            "volumes": [{"containerPath": "/data", "hostPath": "/srv", "mode": "RO"}]})
    );
    check(
        json!({"id": "/web", "container": {"type": "MESOS", "docker": {"privileged": true},
            "volumes": [{"containerPath": "a"}]}}),
        expect![[r#"
            422 /container/docker/image: is required
            422 /container/docker/privileged: is for containers of type DOCKER
            422 /container/volumes(0)/mode: is required: RO or RW
            422 /container/volumes(0)/hostPath: is required"#]],
    );
    check(
        json!({"id": "/web", "cmd": "sleep 1", "container": {}}),
        expect![
            "422 /container/docker: is required with type DOCKER; use MESOS to run without an image"
        ],
    );
}

#[test]
fn what_the_kernel_cannot_start_is_refused_at_once() {
    check(
        json!({
            "id": "/web", "cmd": "sl\0eep 1",
            "env": {"": "a", "A": "x\0y", "B=C": "d", "D\0": "e", "OK": "a=b\nü"},
        }),
        expect![[r#"
            422 /cmd: must not hold a NUL character
            422 /env: names of variables must not be empty; the name "B=C" must not hold '=' or a NUL character; the name "D\0" must not hold '=' or a NUL character
            422 /env/A: must not hold a NUL character"#]],
    );
    check(
        json!({"id": "/web", "args": ["sleep", "1\0"]}),
        expect!["422 /args(1): must not hold a NUL character"],
    );
}

#[test]
fn wrong_types_alone_are_no_rule_broken() {
    check(
        json!({"id": "/a", "cmd": "ab", "instances": "3", "labels": []}),
        expect![[r#"
        400 /labels: must be an object
        400 /instances: must be a whole number"#]],
    );
    check(
        json!({}),
        expect![[r#"
        422 /id: is required
        422 /cmd: is required where there is no args"#]],
    );
}

#[test]
fn an_update_is_laid_over_the_app() {
    let app = read(&object(json!({"id": "/a", "args": ["x"], "env": {"A": "1"}})), None).unwrap();
    let update =
        object(json!({"cmd": "echo 1", "ports": null, "env": {"B": "2"}, "tasksRunning": 1}));
    let merged = read(&overlay(Some(&app), &update), Some("/a")).unwrap();
    assert_eq!(merged.cmd.as_deref(), Some("echo 1"));
    assert!(merged.args.is_empty());
    assert_eq!(merged.env.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(merged.port_definitions, app.port_definitions);
}
