use expect_test::{Expect, expect};
use karman_api::mesos::v1::command_info::Uri;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn framework() -> FrameworkInfo {
    serde_json::from_value(json!({"id": {"value": "F"}, "user": "alice", "name": "test"})).unwrap()
}

/// A task that is admitted, changed by the given fields.
fn task(changes: serde_json::Value) -> TaskInfo {
    let mut task = json!({
        "name": "t", "task_id": {"value": "T"}, "agent_id": {"value": "A"},
        "command": {"value": "sleep 1"},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}},
        ],
    });
    if let (Some(task), serde_json::Value::Object(changes)) = (task.as_object_mut(), changes) {
        task.extend(changes);
    }
    serde_json::from_value(task).unwrap()
}

fn decide(task: &TaskInfo) -> Result<Plan, Refusal> {
    decide_with(task, &Resources::EMPTY)
}

fn decide_with(task: &TaskInfo, held: &Resources) -> Result<Plan, Refusal> {
    let free = Resources::parse("cpus:1;mem:128;disk:100;ports:[31000-31009]", "*").unwrap();
    let machine = Machine {
        agent_id: "A",
        container_id: "C",
        sandbox: "/w/C",
        ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        endpoint: "10.0.0.1:5051",
        path: "/bin",
        root: true,
        work_dir: Path::new("/w"),
        stock: Some(Stock { free: &free, held }),
        in_use: &BTreeSet::new(),
    };
    admit(task, &framework(), None, &machine)
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a table of calls reads better")]
fn check(changes: serde_json::Value, expected: Expect) {
    let text = match decide(&task(changes)) {
        Ok(plan) => format!("{plan:#?}"),
        Err(Refusal { state, reason, message }) => {
            format!("{} {}: {message}", state.as_str_name(), reason.as_str_name())
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn a_plain_command() {
    check(
        json!({}),
        expect![[r#"
            Plan {
                program: "/bin/sh",
                arguments: [
                    "sh",
                    "-c",
                    "sleep 1",
                ],
                environment: [
                    (
                        "MESOS_AGENT_ENDPOINT",
                        "10.0.0.1:5051",
                    ),
                    (
                        "MESOS_AGENT_ID",
                        "A",
                    ),
                    (
                        "MESOS_CONTAINER_ID",
                        "C",
                    ),
                    (
                        "MESOS_DIRECTORY",
                        "/w/C",
                    ),
                    (
                        "MESOS_EXECUTOR_ID",
                        "T",
                    ),
                    (
                        "MESOS_FRAMEWORK_ID",
                        "F",
                    ),
                    (
                        "MESOS_SANDBOX",
                        "/w/C",
                    ),
                    (
                        "MESOS_SLAVE_ID",
                        "A",
                    ),
                    (
                        "MESOS_TASK_ID",
                        "T",
                    ),
                    (
                        "PATH",
                        "/bin",
                    ),
                ],
                user: Some(
                    "alice",
                ),
                named_user: None,
                container: Container {
                    image: None,
                    volumes: [],
                    mounts: [],
                    hostname: None,
                    without_network: false,
                    shares_pids: false,
                    shares_memory: false,
                    shm_bytes: None,
                    capabilities: Set {
                        effective: None,
                        bounding: {
                            CHOWN,
                            DAC_OVERRIDE,
                            FOWNER,
                            FSETID,
                            KILL,
                            SETGID,
                            SETUID,
                            SETPCAP,
                            NET_BIND_SERVICE,
                            NET_RAW,
                            SYS_CHROOT,
                            MKNOD,
                            AUDIT_WRITE,
                            SETFCAP,
                        },
                    },
                    seccomp: Default,
                    no_new_privileges: false,
                    privileged: false,
                    devices: [],
                    rlimits: [],
                    terminal: None,
                    read_only: false,
                    pids: None,
                    cpuset: None,
                    command: Overrides {
                        user: None,
                        directory: None,
                        entrypoint: None,
                        environment: [],
                    },
                },
                limits: Limits {
                    cpu_shares: 512,
                    cpu_quota_us: Some(
                        50000,
                    ),
                    memory_bytes: Some(
                        67108864,
                    ),
                    memory_soft_bytes: Some(
                        67108864,
                    ),
                    swap_bytes: None,
                    pids: None,
                    cpuset: None,
                    blkio_weight: None,
                },
                grace_ms: 3000,
                completion_ms_max: None,
                downloads: [],
                links: [],
            }"#]],
    );
}

#[test]
fn commands_without_a_shell() {
    let run = |command: serde_json::Value| {
        let plan = decide(&task(json!({"command": command}))).unwrap();
        (plan.program, plan.arguments)
    };
    let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(run(json!({"shell": false, "value": "ls"})), ("ls".into(), list(&["ls"])));
    assert_eq!(
        run(json!({"shell": false, "value": "/bin/ls", "arguments": ["ls", "-l"]})),
        ("/bin/ls".into(), list(&["ls", "-l"]))
    );
    assert_eq!(
        run(json!({"shell": false, "arguments": ["ls", "-l"]})),
        ("ls".into(), list(&["ls", "-l"]))
    );
}

#[test]
fn limits_replace_requests_as_bounds() {
    let plan =
        decide(&task(json!({"limits": {"cpus": {"value": "Infinity"}, "mem": {"value": 96}}})))
            .unwrap();
    let expected = Limits {
        cpu_shares: 512,
        cpu_quota_us: None,
        memory_bytes: Some(96 << 20),
        memory_soft_bytes: Some(64 << 20),
        ..Limits::default()
    };
    assert_eq!(plan.limits, expected);
}

#[test]
fn the_command_overrides_the_frameworks_user_and_the_grace_period() {
    let changed = json!({
        "command": {"value": "x", "user": "bob"},
        "kill_policy": {"grace_period": {"nanoseconds": 7_000_000_000_u64}},
        "max_completion_time": {"nanoseconds": 1_500_000_000},
    });
    let plan = decide(&task(changed)).unwrap();
    assert_eq!(
        (plan.user.as_deref(), plan.grace_ms, plan.completion_ms_max),
        (Some("bob"), 7000, Some(1500))
    );
}

#[test]
fn refusals_say_why() {
    for (changes, expected) in [
        (
            json!({"command": null}),
            expect!["TASK_ERROR REASON_TASK_INVALID: Task has neither a command nor an executor"],
        ),
        (
            json!({"command": {}}),
            expect!["TASK_ERROR REASON_TASK_INVALID: Command has no value for the shell"],
        ),
        (
            json!({"command": {"shell": false}}),
            expect!["TASK_ERROR REASON_TASK_INVALID: Command has neither a value nor arguments"],
        ),
        (
            json!({"task_id": {"value": "../x"}}),
            expect!["TASK_ERROR REASON_TASK_INVALID: '../x' is not a valid task id"],
        ),
        (
            json!({"resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}}]}),
            expect![
                "TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Task uses more resources than are free on this agent, by cpus:1"
            ],
        ),
        (
            json!({"container": {"type": "DOCKER", "docker": {"image": "x", "network": "BRIDGE"}}}),
            expect![
                "TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Networks of containers are not there yet: use network HOST, and serve at $PORT0"
            ],
        ),
        (
            json!({"container": {"type": "MESOS", "mesos": {"image": {"type": "APPC", "appc": {"name": "x"}}}}}),
            expect![
                "TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Only images of type DOCKER can be run by this agent"
            ],
        ),
        (
            json!({"container": {"type": "MESOS", "volumes": [{"mode": "RW", "container_path": "x"}]}}),
            expect![
                "TASK_ERROR REASON_TASK_INVALID: Volume 'x' comes from nowhere: give 'source', 'host_path' or 'image'"
            ],
        ),
        (
            json!({"command": {"value": "x", "environment": {"variables": [{"name": "A=B", "value": ""}]}}}),
            expect![
                "TASK_ERROR REASON_TASK_INVALID: 'A=B' is not a name of an environment variable"
            ],
        ),
        (
            json!({"command": {"value": "x", "uris": [{"value": "http://h/a#sha256=12"}]}}),
            expect![
                "TASK_ERROR REASON_TASK_INVALID: Cannot fetch 'http://h/a#sha256=12': '12' is not a checksum by sha256"
            ],
        ),
        (
            json!({"command": {"value": "x", "uris": [{"value": "http://h/stdout"}]}}),
            expect![
                "TASK_ERROR REASON_TASK_INVALID: Cannot fetch 'http://h/stdout': no usable file name"
            ],
        ),
        (
            json!({"command": {"value": "x", "uris": [{"value": "hdfs://h/a"}]}}),
            expect![
                "TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Cannot fetch 'hdfs://h/a': only http, https and file are supported"
            ],
        ),
    ] {
        check(changes, expected);
    }
}

#[test]
fn a_container_with_nothing_but_its_type_is_a_plain_task() {
    decide(&task(json!({"container": {"type": "MESOS", "mesos": {}}}))).unwrap();
    decide(&task(json!({"container": {"type": "MESOS", "network_infos": [{}]}}))).unwrap();
}

#[test]
fn downloads_are_named_after_their_source() {
    let uri = |value: &str, output_file: Option<&str>| Uri {
        value: value.into(),
        executable: Some(true),
        extract: None,
        cache: None,
        output_file: output_file.map(Into::into),
    };
    let name = |value, output_file| {
        download::download(&uri(value, output_file)).map(|download| download.to)
    };
    assert_eq!(name("http://h/a/b.sh?c=d/e", None).unwrap(), "b.sh");
    assert_eq!(name("file:///a/b.sh", None).unwrap(), "b.sh");
    assert_eq!(name("http://h/a", Some("c/d")).unwrap(), "c/d");
    for (value, output_file) in
        [("http://h/", None), ("http://h/a", Some("../x")), ("http://h/a", Some("/x"))]
    {
        name(value, output_file).unwrap_err();
    }
}

#[test]
fn a_checksum_stands_after_the_source() {
    let from = |value: String| {
        let uri = Uri { value, executable: None, extract: None, cache: None, output_file: None };
        download::download(&uri).map(|download| (download.from, download.to, download.checksum))
    };
    let digits = "0123456789abcdef".repeat(4);
    let (place, name, checksum) = from(format!("https://h/t.tgz#sha256={digits}")).unwrap();
    assert_eq!((place.as_str(), name.as_str()), ("https://h/t.tgz", "t.tgz"));
    assert_eq!(checksum.unwrap().to_string(), format!("sha256:{digits}"));
    let (place, name, checksum) = from("/files/a#b".to_owned()).unwrap();
    assert_eq!((place.as_str(), name.as_str(), checksum), ("/files/a#b", "a", None));
}

/// So much of something that `role` reserved by an operation.
fn reserved(name: &str, amount: f64, role: &str) -> serde_json::Value {
    json!({
        "name": name, "type": "SCALAR", "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": role, "principal": "p"}],
    })
}

fn volume(id: &str, path: &str) -> serde_json::Value {
    let mut volume = reserved("disk", 64.0, "eng/web");
    volume["disk"] = json!({
        "persistence": {"id": id}, "volume": {"container_path": path, "mode": "RW"},
    });
    volume
}

fn held(list: serde_json::Value) -> Resources {
    let wire: Vec<karman_api::mesos::v1::Resource> = serde_json::from_value(list).unwrap();
    resources_from_wire(&wire).unwrap()
}

fn told(outcome: Result<Plan, Refusal>) -> String {
    match outcome {
        Ok(plan) => format!("{:?}", plan.links),
        Err(Refusal { state, reason, message }) => {
            format!("{} {}: {message}", state.as_str_name(), reason.as_str_name())
        }
    }
}

#[test]
fn reservations_are_used_by_whom_they_were_made_for() {
    let wants = |list: serde_json::Value| task(json!({"resources": list}));
    let cpu = reserved("cpus", 0.5, "eng/web");
    let stock = held(json!([cpu, reserved("mem", 64.0, "eng/web")]));
    assert_eq!(told(decide_with(&wants(json!([cpu])), &stock)), "[]");
    assert_eq!(
        told(decide_with(&wants(json!([reserved("cpus", 0.6, "eng/web")])), &stock)),
        "TASK_LOST REASON_RESOURCES_UNKNOWN: Task 'T' uses reservations or volumes that this agent does not have: cpus(eng/web):0.6"
    );
    // Together with what is not reserved it is more than there is.
    let unreserved = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.6}});
    assert_eq!(
        told(decide_with(&wants(json!([cpu, unreserved])), &stock)),
        "TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Task uses more resources than are free on this agent, by cpus:0.1"
    );
}

#[test]
fn volumes_are_linked_into_the_sandbox() {
    let wants = |path: &str| task(json!({"resources": [volume("v", path)]}));
    let stock = held(json!([volume("v", "elsewhere")]));
    assert_eq!(
        told(decide_with(&wants("data/db"), &stock)),
        r#"[Link { at: "data/db", volume: "/w/volumes/roles/eng web/v", own: true, read_only: false }]"#
    );
    assert_eq!(
        told(decide_with(&wants("data"), &Resources::EMPTY)),
        "TASK_LOST REASON_RESOURCES_UNKNOWN: Task 'T' uses reservations or volumes that this agent does not have: disk(eng/web):64"
    );
    for path in ["/data", "../data", "", "a/../../b"] {
        assert_eq!(
            told(decide_with(&wants(path), &stock)),
            format!(
                "TASK_ERROR REASON_TASK_INVALID: The container path '{path}' of the persistent volume 'v' must lie inside of the sandbox"
            )
        );
    }
    let fetched =
        json!({"value": "true", "uris": [{"value": "/etc/hosts", "output_file": "data/hosts"}]});
    assert_eq!(
        told(decide_with(
            &task(json!({"resources": [volume("v", "data")], "command": fetched})),
            &stock
        )),
        "TASK_ERROR REASON_TASK_INVALID: Cannot fetch '/etc/hosts' into a persistent volume ('data/hosts')"
    );
}

proptest! {
    #[test]
    fn what_is_admitted_stays_below_its_folders(id in "[ -~]{0,12}", file in "[ -~]{0,12}") {
        let mut task = task(json!({}));
        task.task_id.value = id;
        if let Some(command) = &mut task.command {
            command.uris = vec![Uri { value: "http://h/x".into(), executable: None, extract: None, cache: None, output_file: Some(file) }];
        }
        if let Ok(plan) = decide(&task) {
            let path = sandbox("A", "F", &task.task_id.value, "C");
            prop_assert_eq!(path.components().count(), 8);
            let normal = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            prop_assert!(normal(&path));
            prop_assert!(plan.downloads.iter().all(|download| normal(download.to.as_ref())));
        }
    }
}
