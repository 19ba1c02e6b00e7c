//! From the body of a request to a complete [`App`]: types, defaults, the older
//! spellings of fields, and what this release cannot run.
#![deny(clippy::disallowed_methods)]

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::super::error::Invalid;
use super::super::fields::Fields;
use super::super::path;
use super::{
    App, Artifact, Disabled, KillSelection, Network, NetworkMode, PortDefinition,
    UnreachableStrategy, UpgradeStrategy, container, health, rules,
};

/// What answers add to an app; ignored in requests, since clients send back
/// what they got.
const ANSWER_ONLY: &[&str] = &[
    "version",
    "versionInfo",
    "tasks",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "tasksStats",
    "taskStats",
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
];

/// The body of a partial update laid over the app as it is. Fields that
/// exclude one another replace one another.
pub fn overlay(current: Option<&App>, update: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = match current.map(serde_json::to_value) {
        Some(Ok(Value::Object(map))) => map,
        _ => Map::new(),
    };
    let given = |key: &str| update.get(key).is_some_and(|value| !value.is_null());
    for (replaced, by) in
        [("args", "cmd"), ("cmd", "args"), ("portDefinitions", "ports"), ("fetch", "uris")]
    {
        if given(by) {
            merged.remove(replaced);
        }
    }
    for (key, value) in update {
        if !value.is_null() {
            merged.insert(key.clone(), value.clone());
        }
    }
    for key in ANSWER_ONLY {
        merged.remove(*key);
    }
    merged
}

/// Reads and checks a whole app. `id` is known from the URL where there is one.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn read(body: &Map<String, Value>, id: Option<&str>) -> Result<App, Invalid> {
    let invalid = RefCell::new(Invalid::default());
    let fields = Fields::new(body, "", &invalid);
    refuse_what_cannot_run(&fields);
    let app = app(&fields, id);
    rules::check(&fields, &app);
    let invalid = invalid.into_inner();
    if invalid.is_empty() { Ok(app) } else { Err(invalid) }
}

fn app(fields: &Fields<'_>, known_id: Option<&str>) -> App {
    let id = identity(fields, known_id);
    let port_definitions = port_definitions(fields);
    App {
        cmd: fields.text("cmd"),
        args: fields.texts("args").unwrap_or_default(),
        user: fields.filled_text("user", 256),
        env: fields.text_map("env").unwrap_or_default(),
        labels: fields.text_map("labels").unwrap_or_default(),
        instances: fields.integer("instances", 0, i32::MAX.unsigned_abs()).unwrap_or(1),
        cpus: fields.number("cpus", 0.001, AMOUNT_MAX).unwrap_or(1.0),
        mem: fields.number("mem", 0.0, AMOUNT_MAX).unwrap_or(128.0),
        disk: fields.number("disk", 0.0, AMOUNT_MAX).unwrap_or(0.0),
        gpus: fields.integer("gpus", 0, i32::MAX.unsigned_abs()).unwrap_or(0),
        executor: fields.text("executor").unwrap_or_default(),
        container: container::container(fields),
        networks: networks(fields),
        health_checks: health::checks(fields, port_definitions.len()),
        port_definitions,
        require_ports: fields.flag("requirePorts").unwrap_or(false),
        fetch: fetch(fields),
        constraints: constraints(fields),
        accepted_resource_roles: fields.texts("acceptedResourceRoles"),
        role: fields.filled_text("role", 1024),
        upgrade_strategy: upgrade_strategy(fields),
        backoff_seconds: fields.integer("backoffSeconds", 0, SECONDS_MAX).unwrap_or(1),
        backoff_factor: fields.number("backoffFactor", 1.0, 1e6).unwrap_or(1.15),
        max_launch_delay_seconds: fields
            .integer("maxLaunchDelaySeconds", 0, SECONDS_MAX)
            .unwrap_or(300),
        task_kill_grace_period_seconds: fields.integer(
            "taskKillGracePeriodSeconds",
            0,
            SECONDS_MAX,
        ),
        kill_selection: fields
            .choice(
                "killSelection",
                &[
                    ("YOUNGEST_FIRST", KillSelection::YoungestFirst),
                    ("OLDEST_FIRST", KillSelection::OldestFirst),
                ],
            )
            .unwrap_or_default(),
        unreachable_strategy: unreachable_strategy(fields),
        dependencies: dependencies(fields, &id),
        version: None,
        version_info: None,
        id,
    }
}

/// More than any machine has, and exact as a double.
const AMOUNT_MAX: f64 = 1e9;
pub(super) const SECONDS_MAX: u32 = i32::MAX.unsigned_abs();

fn identity(fields: &Fields<'_>, known: Option<&str>) -> String {
    let given = fields.text("id");
    if given.is_none() && known.is_none() && !fields.has("id") {
        fields.rule("id", "is required");
    }
    if let Some(problem) = given.as_deref().or(known).and_then(path::problem_of_id) {
        fields.rule("id", problem);
    }
    let given = given.map(|given| path::absolute(&given, "/"));
    if let (Some(given), Some(known)) = (&given, known)
        && given != known
    {
        fields.rule("id", format!("must be {known}, as in the URL"));
    }
    known.map(str::to_owned).or(given).unwrap_or_default()
}

fn port_definitions(fields: &Fields<'_>) -> Vec<PortDefinition> {
    let bare = |port| PortDefinition {
        port,
        protocol: "tcp".into(),
        name: None,
        labels: std::collections::BTreeMap::new(),
    };
    let ports = fields.ports("ports");
    let Some(objects) = fields.objects("portDefinitions") else {
        return match ports {
            Some(ports) => ports.into_iter().map(bare).collect(),
            None => vec![PortDefinition { name: Some("default".into()), ..bare(0) }],
        };
    };
    let definitions: Vec<PortDefinition> = objects
        .iter()
        .map(|object| PortDefinition {
            port: object.port("port").unwrap_or(0),
            protocol: object
                .choice("protocol", &[("tcp", "tcp"), ("udp", "udp"), ("udp,tcp", "udp,tcp")])
                .unwrap_or("tcp")
                .into(),
            name: object.filled_text("name", 255),
            labels: object.text_map("labels").unwrap_or_default(),
        })
        .collect();
    if ports.is_some_and(|ports| !ports.iter().eq(definitions.iter().map(|one| &one.port))) {
        fields.rule("ports", "must equal the ports of portDefinitions; give only one of them");
    }
    definitions
}

fn networks(fields: &Fields<'_>) -> Vec<Network> {
    let host = Network { mode: NetworkMode::Host, name: None, labels: Default::default() };
    let Some(objects) = fields.objects("networks").filter(|objects| !objects.is_empty()) else {
        return vec![host];
    };
    if objects.len() > 1 {
        fields.rule("networks", "must be a single host network");
    }
    for object in &objects {
        let modes = [
            ("host", NetworkMode::Host),
            ("container", NetworkMode::Container),
            ("container/bridge", NetworkMode::Bridge),
        ];
        let mode = object.choice("mode", &modes);
        if mode.unwrap_or(NetworkMode::Container) != NetworkMode::Host {
            object.rule("mode", "container networks are not available in this release; use host");
        }
        for key in ["name", "labels"] {
            if object.is_filled(key) {
                object.rule(key, "must not be given for the host network");
            }
        }
    }
    vec![host]
}

fn fetch(fields: &Fields<'_>) -> Vec<Artifact> {
    let artifact = |uri: String| Artifact {
        extract: is_archive(&uri),
        uri,
        executable: false,
        cache: false,
        dest_path: None,
    };
    let uris = fields.texts("uris").filter(|uris| !uris.is_empty());
    let objects = fields.objects("fetch").filter(|objects| !objects.is_empty());
    if uris.is_some() && objects.is_some() {
        fields.rule("uris", "must not be given together with fetch");
    }
    for (i, uri) in uris.iter().flatten().enumerate() {
        if let Some(problem) = uri_problem(uri) {
            fields.rule(&format!("uris({i})"), problem);
        }
    }
    let Some(objects) = objects else {
        return uris.unwrap_or_default().into_iter().map(artifact).collect();
    };
    let read = |object: &Fields<'_>| {
        let uri = object.text("uri");
        match uri.as_deref().map(uri_problem) {
            None if !object.has("uri") => object.rule("uri", "is required"),
            Some(Some(problem)) => object.rule("uri", problem),
            None | Some(None) => {}
        }
        Artifact {
            uri: uri.unwrap_or_default(),
            extract: object.flag("extract").unwrap_or(true),
            executable: object.flag("executable").unwrap_or(false),
            cache: object.flag("cache").unwrap_or(false),
            dest_path: object.filled_text("destPath", 1024),
        }
    };
    objects.iter().map(read).collect()
}

fn uri_problem(uri: &str) -> Option<&'static str> {
    let broken = uri.is_empty() || uri.len() > 1024;
    let strange = uri.chars().any(|c| c.is_whitespace() || c.is_control());
    (broken || strange).then_some("must be a URI of 1 to 1024 characters without spaces")
}

fn is_archive(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    [".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip", ".tar", ".gz"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn constraints(fields: &Fields<'_>) -> Vec<Vec<String>> {
    let mut constraints = Vec::new();
    for (i, item) in fields.list("constraints").unwrap_or_default().iter().enumerate() {
        let key = format!("constraints({i})");
        let Value::Array(parts) = item else {
            fields.rule(&key, "must be a list of field, operator and sometimes a value");
            continue;
        };
        let mut parts = fields.texts_in(&fields.path(&key), parts);
        if let Some(operator) = parts.get_mut(1) {
            operator.make_ascii_uppercase();
        }
        constraints.push(parts);
    }
    constraints
}

fn upgrade_strategy(fields: &Fields<'_>) -> UpgradeStrategy {
    let default = match fields.get("labels").and_then(|labels| labels.get(rules::SINGLE_INSTANCE)) {
        Some(Value::String(flag)) if flag == "true" => {
            UpgradeStrategy { minimum_health_capacity: 0.0, maximum_over_capacity: 0.0 }
        }
        _ => UpgradeStrategy::default(),
    };
    let Some(object) = fields.object("upgradeStrategy") else { return default };
    UpgradeStrategy {
        minimum_health_capacity: object
            .number("minimumHealthCapacity", 0.0, 1.0)
            .unwrap_or(default.minimum_health_capacity),
        maximum_over_capacity: object
            .number("maximumOverCapacity", 0.0, 1.0)
            .unwrap_or(default.maximum_over_capacity),
    }
}

fn unreachable_strategy(fields: &Fields<'_>) -> UnreachableStrategy {
    if fields.get("unreachableStrategy").and_then(Value::as_str) == Some("disabled") {
        return UnreachableStrategy::Disabled(Disabled::Disabled);
    }
    let Some(object) = fields.object("unreachableStrategy") else {
        return UnreachableStrategy::default();
    };
    let inactive_after_seconds =
        object.integer("inactiveAfterSeconds", 0, SECONDS_MAX).unwrap_or(0);
    let expunge_after_seconds = object.integer("expungeAfterSeconds", 0, SECONDS_MAX).unwrap_or(0);
    if inactive_after_seconds > expunge_after_seconds {
        object.rule("inactiveAfterSeconds", "must not be larger than expungeAfterSeconds");
    }
    UnreachableStrategy::Replace { inactive_after_seconds, expunge_after_seconds }
}

fn dependencies(fields: &Fields<'_>, id: &str) -> Vec<String> {
    let mut absolute = Vec::new();
    for (i, one) in fields.texts("dependencies").unwrap_or_default().iter().enumerate() {
        if let Some(problem) = path::problem(one) {
            fields.rule(&format!("dependencies({i})"), problem);
            continue;
        }
        let one = path::absolute(one, path::parent(id));
        if one == id {
            fields.rule(&format!("dependencies({i})"), "must not be the app itself");
        }
        if !absolute.contains(&one) {
            absolute.push(one);
        }
    }
    absolute
}

/// Things that are part of the schema but would be silently without effect.
fn refuse_what_cannot_run(fields: &Fields<'_>) {
    let refused = [
        ("secrets", "the feature secrets is not enabled"),
        ("ipAddress", "container networks are not available in this release; use portDefinitions"),
        ("readinessChecks", "readiness checks are not available in this release; use healthChecks"),
        ("check", "checks are not available in this release; use healthChecks"),
        ("resourceLimits", "limits above the request are not available in this release"),
        ("executorResources", "tasks run without an executor whose resources could be set"),
        ("residency", "persistent volumes are not available in this release"),
    ];
    for (key, why) in refused {
        if fields.is_filled(key) {
            fields.rule(key, why);
        }
    }
    if fields.get("tty") == Some(&Value::Bool(true)) {
        fields.rule("tty", "terminals are not available in this release");
    }
    if fields.get("gpus").and_then(Value::as_f64).is_some_and(|gpus| gpus > 0.0) {
        fields.rule("gpus", "the feature gpu_resources is not enabled");
    }
    let executor = fields.get("executor").and_then(Value::as_str).unwrap_or_default();
    if !["", "//cmd"].contains(&executor) {
        fields.rule("executor", "custom executors are not available in this release");
    }
}
