use expect_test::{Expect, expect};
use karman_api::mesos::v1::ContainerInfo;
use serde_json::{Value, json};

use super::*;

fn read(info: Value) -> Result<Container, Refusal> {
    let info: ContainerInfo = serde_json::from_value(info).expect("a ContainerInfo");
    container(&info)
}

#[track_caller]
fn refused(info: Value, expected: &str) {
    let refusal = read(info).expect_err("it is refused");
    assert_eq!(refusal.message, expected);
}

/// What differs from a container of which nothing is said.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a table of calls reads better")]
fn check(info: Value, expected: Expect) {
    let lines = |container: &Container| -> Vec<String> {
        format!("{container:#?}").lines().map(|line| line.trim().to_owned()).collect()
    };
    let plain = lines(&Container::default());
    let said = lines(&read(info).expect("it is understood"));
    let more: Vec<String> = said.into_iter().filter(|line| !plain.contains(line)).collect();
    expected.assert_eq(&more.join("\n"));
}

#[test]
fn an_image_of_either_type() {
    let image = json!({"type": "DOCKER", "docker": {"name": "nginx"}, "cached": false});
    let mesos = read(json!({"type": "MESOS", "mesos": {"image": image}})).unwrap().image.unwrap();
    assert_eq!(mesos.reference.to_string(), "docker.io/library/nginx:latest");
    assert!(!mesos.cached);
    let docker = json!({"type": "DOCKER", "docker": {"image": "localhost:5000/a/b:1"}});
    let docker = read(docker).unwrap().image.unwrap();
    assert_eq!(docker.reference.to_string(), "localhost:5000/a/b:1");
    assert!(docker.cached);
}

#[test]
fn options_of_docker_run() {
    let parameters = |pairs: &[(&str, &str)]| {
        let list: Vec<Value> =
            pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        json!({"type": "DOCKER", "docker": {"image": "a", "parameters": list}})
    };
    check(
        parameters(&[
            ("hostname", "h"),
            ("user", "nobody"),
            ("workdir", "/srv"),
            ("entrypoint", "/bin/run"),
            ("env", "A=b=c"),
            ("ulimit", "nofile=10:20"),
            ("shm-size", "1g"),
            ("pids-limit", "50"),
            ("read-only", "true"),
            ("tmpfs", "/scratch:size=64m,noexec"),
            ("volume", "/data:/var/data:ro"),
            ("security-opt", "no-new-privileges"),
            ("label", "a=b"),
        ]),
        expect![[r#"
            image: Some(
            Wanted {
            reference: Reference {
            registry: "docker.io",
            repository: "library/a",
            tag: Some(
            "latest",
            ),
            digest: None,
            cached: true,
            auth: Auth {
            registries: {},
            ),
            volumes: [
            Volume {
            at: "/var/data",
            read_only: true,
            from: Machine(
            "/data",
            ),
            ],
            mounts: [
            Mount {
            source: Tmpfs {
            bytes: Some(
            67108864,
            ),
            mode: 1023,
            target: "/scratch",
            recursive: false,
            options: [
            NoSuid,
            NoDev,
            NoExec,
            ],
            ],
            hostname: Some(
            "h",
            ),
            shm_bytes: Some(
            1073741824,
            ),
            no_new_privileges: true,
            rlimits: [
            Rlimit {
            resource: OpenFiles,
            soft: Some(
            10,
            ),
            hard: Some(
            20,
            ),
            ],
            read_only: true,
            pids: Some(
            50,
            ),
            user: Some(
            "nobody",
            ),
            directory: Some(
            "/srv",
            ),
            entrypoint: Some(
            "/bin/run",
            ),
            environment: [
            (
            "A",
            "b=c",
            ),
            ],"#]],
    );
    refused(
        parameters(&[("mac-address", "x")]),
        "The Docker parameter 'mac-address=x' means nothing to this agent; take it out",
    );
    refused(
        parameters(&[("volume", "name:/data")]),
        "The Docker parameter 'volume=name:/data' names a volume of Docker; only host paths are there",
    );
    refused(
        parameters(&[("shm-size", "many")]),
        "The Docker parameter 'shm-size' cannot be 'many'",
    );
}

#[test]
fn rights_are_added_to_and_taken_from_the_usual_ones() {
    let rights = |pairs: &[(&str, &str)]| {
        let list: Vec<Value> =
            pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let info = json!({"type": "DOCKER", "docker": {"image": "a", "parameters": list}});
        match read(info).unwrap().capabilities {
            Capabilities::Set { bounding, .. } => bounding,
            Capabilities::Unchanged => panic!("all of them"),
        }
    };
    let named = |name: &str| karman_container::spec::Capability::named(name).unwrap();
    assert!(rights(&[("cap-add", "net_admin")]).contains(&named("NET_ADMIN")));
    assert!(!rights(&[("cap-drop", "CAP_CHOWN")]).contains(&named("CHOWN")));
    let only = rights(&[("cap-drop", "ALL"), ("cap-add", "KILL")]);
    assert_eq!(Vec::from_iter(only), [named("KILL")]);
}

#[test]
fn what_linux_info_says() {
    let linux = |linux: Value| json!({"type": "MESOS", "linux_info": linux});
    check(
        linux(json!({
            "effective_capabilities": {"capabilities": ["NET_RAW"]},
            "share_pid_namespace": true, "shm_size": 16, "seccomp": {"unconfined": true}
        })),
        expect![[r#"
            shares_pids: true,
            shm_bytes: Some(
            16777216,
            ),
            effective: Some(
            {
            ),
            seccomp: Unconfined,"#]],
    );
    refused(
        linux(json!({
            "effective_capabilities": {"capabilities": ["NET_RAW"]},
            "bounding_capabilities": {"capabilities": ["KILL"]}
        })),
        "Capability NET_RAW is effective, but not among the bounding ones",
    );
    refused(
        linux(json!({"seccomp": {"profile_name": "strict"}})),
        "The seccomp profile 'strict' is not there; this agent knows 'default'",
    );
    let limits = |limit: Value| json!({"type": "MESOS", "rlimit_info": {"rlimits": [limit]}});
    refused(
        limits(json!({"type": "RLMT_NOFILE", "soft": 2, "hard": 1})),
        "The soft limit of NOFILE (2) is above the hard one (1)",
    );
    refused(
        limits(json!({"type": "RLMT_NOFILE", "soft": 2})),
        "The limit of NOFILE needs both sides, or none to be unlimited",
    );
}

#[test]
fn volumes_from_everywhere() {
    let volumes = |list: Value| json!({"type": "MESOS", "volumes": list});
    check(
        volumes(json!([
            {"mode": "RO", "container_path": "/etc/app", "host_path": "/srv/app"},
            {"mode": "RW", "container_path": "data", "host_path": "kept"},
            {"mode": "RW", "container_path": "/shared", "source": {"type": "SANDBOX_PATH",
                "sandbox_path": {"type": "PARENT", "path": "shared"}}},
            {"mode": "RO", "container_path": "secret", "source": {"type": "SECRET",
                "secret": {"type": "VALUE", "value": {"data": "aGVsbG8="}}}},
        ])),
        expect![[r#"
            volumes: [
            Volume {
            at: "/etc/app",
            read_only: true,
            from: Machine(
            "/srv/app",
            ),
            Volume {
            at: "data",
            from: Sandbox(
            "kept",
            ),
            Volume {
            at: "/shared",
            from: Parent(
            "shared",
            ),
            Volume {
            at: "secret",
            read_only: true,
            from: Secret,
            ],"#]],
    );
    let one = |volume: Value| volumes(json!([volume]));
    refused(
        one(json!({"mode": "RW", "container_path": "a"})),
        "Volume 'a' comes from nowhere: give 'source', 'host_path' or 'image'",
    );
    refused(
        one(json!({"mode": "RW", "container_path": "../a", "host_path": "/x"})),
        "'../a' is no place for a volume: give a path without '..', absolute or relative to the sandbox",
    );
    refused(
        one(json!({"mode": "RW", "container_path": "a", "host_path": "../x"})),
        "'../x' must be a path within the sandbox, without '..'",
    );
}

#[test]
fn networks_that_are_not_there() {
    refused(
        json!({"type": "MESOS", "network_infos": [{"name": "dcos"}]}),
        "The container network 'dcos' is not there: tasks of this agent use the machine's network",
    );
    refused(
        json!({"type": "DOCKER", "docker": {"image": "a", "network": "BRIDGE"}}),
        "Networks of containers are not there yet: use network HOST, and serve at $PORT0",
    );
    assert!(
        read(json!({"type": "DOCKER", "docker": {"image": "a", "network": "NONE"}}))
            .unwrap()
            .without_network
    );
}
