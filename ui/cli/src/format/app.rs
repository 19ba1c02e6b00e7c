//! Apps and their Marathon tasks. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::{Map, Value, json};

use super::document::{flag, integer, list, number as number_at, plain, text};
use super::{count, fields, number, or_dash, queue, shorten, table, time};

const COMMAND_WIDTH: usize = 48;

/// What a server says about an app but does not take back in an update.
const READ_ONLY: [&str; 11] = [
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
    "tasks",
    "tasksHealthy",
    "tasksRunning",
    "tasksStaged",
    "tasksStats",
    "tasksUnhealthy",
    "version",
    "versionInfo",
];

/// One line per app. `queue` tells which of them wait for something.
pub fn apps(apps: &[Value], queue: &Value) -> String {
    if apps.is_empty() {
        return "no apps; add one with: karman app add FILE\n".to_owned();
    }
    let rows: Vec<Vec<String>> = apps.iter().map(|app| row(app, queue)).collect();
    table(
        &["ID", "MEM", "CPUS", "TASKS", "HEALTH", "DEPLOYMENT", "WAITING", "CONTAINER", "CMD"],
        &rows,
    )
}

fn row(app: &Value, queue: &Value) -> Vec<String> {
    vec![
        text(app, "/id").to_owned(),
        number(number_at(app, "/mem")),
        number(number_at(app, "/cpus")),
        format!("{}/{}", integer(app, "/tasksRunning"), integer(app, "/instances")),
        health(app),
        or_dash(deployment_ids(app).join(" ")),
        queue::waiting(queue, text(app, "/id")),
        container(app),
        or_dash(shorten(&command(app), COMMAND_WIDTH)),
    ]
}

fn health(app: &Value) -> String {
    if list(app, "/healthChecks").is_empty() {
        return "-".to_owned();
    }
    format!("{}/{}", integer(app, "/tasksHealthy"), integer(app, "/tasksRunning"))
}

fn container(app: &Value) -> String {
    match app.get("container") {
        Some(Value::Object(container)) => {
            container.get("type").and_then(Value::as_str).unwrap_or("DOCKER").to_lowercase()
        }
        _ => "mesos".to_owned(),
    }
}

fn command(app: &Value) -> String {
    let cmd = text(app, "/cmd");
    if !cmd.is_empty() {
        return cmd.to_owned();
    }
    list(app, "/args").iter().map(plain).collect::<Vec<_>>().join(" ")
}

/// The deployments that hold an app.
pub fn deployment_ids(app: &Value) -> Vec<String> {
    list(app, "/deployments").iter().map(|deployment| text(deployment, "/id").to_owned()).collect()
}

/// One sentence: how many of the wanted instances there are.
pub fn state(app: &Value) -> String {
    let (wanted, running) = (integer(app, "/instances"), integer(app, "/tasksRunning"));
    let mut sentence = match (wanted, running) {
        (0, 0) => "stopped".to_owned(),
        _ => format!("{running} of {} running", count(wanted, "instance")),
    };
    if !list(app, "/healthChecks").is_empty() && wanted > 0 {
        sentence.push_str(&format!(", {} healthy", integer(app, "/tasksHealthy")));
    }
    let staged = integer(app, "/tasksStaged");
    if staged > 0 {
        sentence.push_str(&format!(", {staged} starting"));
    }
    sentence
}

/// Whether every wanted instance runs, and is healthy where that is checked.
pub fn reached_goal(app: &Value) -> bool {
    let wanted = integer(app, "/instances");
    let checked = !list(app, "/healthChecks").is_empty();
    integer(app, "/tasksRunning") >= wanted && (!checked || integer(app, "/tasksHealthy") >= wanted)
}

/// How many of its instances still run an older configuration.
pub fn outdated(app: &Value) -> usize {
    // Times of one form and zone: in the order of their text.
    let since = text(app, "/versionInfo/lastConfigChangeAt");
    list(app, "/tasks").iter().filter(|task| text(task, "/version") < since).count()
}

/// One app in full, with its tasks.
pub fn app(app: &Value, now_ms: i64) -> String {
    let mut pairs = vec![
        ("app", text(app, "/id").to_owned()),
        ("state", state(app)),
        ("version", text(app, "/version").to_owned()),
        ("command", command(app)),
        ("image", text(app, "/container/docker/image").to_owned()),
        (
            "each",
            format!(
                "{} cpus, {} MiB memory, {} MiB disk",
                number(number_at(app, "/cpus")),
                number(number_at(app, "/mem")),
                number(number_at(app, "/disk")),
            ),
        ),
        ("ports", ports(app).join("\n")),
        ("labels", pairs_of(app, "/labels").join("\n")),
        ("deployment", deployment_ids(app).join("\n")),
    ];
    if let Some(failure) = last_failure(app, now_ms) {
        pairs.push(("last failure", failure));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    let mut out = fields(&pairs);
    let tasks = list(app, "/tasks");
    if !tasks.is_empty() {
        out.push('\n');
        out.push_str(&self::tasks(tasks, now_ms));
    }
    out
}

fn ports(app: &Value) -> Vec<String> {
    let mappings = list(app, "/container/portMappings");
    let (definitions, member) = if mappings.is_empty() {
        (list(app, "/portDefinitions"), "/port")
    } else {
        (mappings, "/containerPort")
    };
    let mut lines = Vec::new();
    for definition in definitions {
        let number = integer(definition, member);
        let mut line = if number == 0 { "any".to_owned() } else { number.to_string() };
        let protocol = text(definition, "/protocol");
        line.push('/');
        line.push_str(if protocol.is_empty() { "tcp" } else { protocol });
        for part in
            [text(definition, "/name").to_owned(), pairs_of(definition, "/labels").join(" ")]
        {
            if !part.is_empty() {
                line.push(' ');
                line.push_str(&part);
            }
        }
        lines.push(line);
    }
    lines
}

fn pairs_of(document: &Value, pointer: &str) -> Vec<String> {
    let Some(Value::Object(members)) = document.pointer(pointer) else { return Vec::new() };
    members.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect()
}

/// What became of the last instance that ended badly.
pub fn last_failure(app: &Value, now_ms: i64) -> Option<String> {
    let failure = app.get("lastTaskFailure").filter(|failure| failure.is_object())?;
    let message = text(failure, "/message");
    let mut sentence = format!(
        "{} {} on {}",
        text(failure, "/state"),
        time::ago(now_ms, text(failure, "/timestamp")),
        or_dash(text(failure, "/host")),
    );
    if !message.is_empty() {
        sentence.push_str(": ");
        sentence.push_str(message);
    }
    Some(sentence)
}

/// Marathon's tasks, one per line.
pub fn tasks(tasks: &[Value], now_ms: i64) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let rows: Vec<Vec<String>> = tasks.iter().map(|task| task_row(task, now_ms)).collect();
    table(&["APP", "STATE", "HEALTHY", "STARTED", "HOST", "PORTS", "ID"], &rows)
}

fn task_row(task: &Value, now_ms: i64) -> Vec<String> {
    let started = text(task, "/startedAt");
    vec![
        text(task, "/appId").to_owned(),
        text(task, "/state").to_owned(),
        healthy(task),
        if started.is_empty() { "-".to_owned() } else { time::ago(now_ms, started) },
        or_dash(text(task, "/host")),
        or_dash(list(task, "/ports").iter().map(plain).collect::<Vec<_>>().join(",")),
        text(task, "/id").to_owned(),
    ]
}

fn healthy(task: &Value) -> String {
    let results = list(task, "/healthCheckResults");
    if results.is_empty() {
        return "-".to_owned();
    }
    if results.iter().all(|result| flag(result, "/alive")) {
        "yes".to_owned()
    } else {
        "no".to_owned()
    }
}

/// One Marathon task in full.
pub fn task(task: &Value, now_ms: i64) -> String {
    let moment = |pointer: &str| {
        let moment = text(task, pointer);
        if moment.is_empty() {
            String::new()
        } else {
            format!("{moment} ({})", time::ago(now_ms, moment))
        }
    };
    let addresses: Vec<&str> =
        list(task, "/ipAddresses").iter().map(|address| text(address, "/ipAddress")).collect();
    let causes: Vec<String> = list(task, "/healthCheckResults")
        .iter()
        .filter(|result| !flag(result, "/alive"))
        .map(|result| text(result, "/lastFailureCause").to_owned())
        .filter(|cause| !cause.is_empty())
        .collect();
    let mut pairs = vec![
        ("task", text(task, "/id").to_owned()),
        ("app", text(task, "/appId").to_owned()),
        ("state", text(task, "/state").to_owned()),
        ("healthy", healthy(task)),
        ("cause", causes.join("\n")),
        ("host", text(task, "/host").to_owned()),
        ("addresses", addresses.join(" ")),
        ("ports", list(task, "/ports").iter().map(plain).collect::<Vec<_>>().join(" ")),
        ("staged", moment("/stagedAt")),
        ("started", moment("/startedAt")),
        ("version", text(task, "/version").to_owned()),
        ("agent", text(task, "/slaveId").to_owned()),
    ];
    pairs.retain(|(_, value)| !value.is_empty());
    fields(&pairs)
}

/// An app as `show --json` gives it, without what an update may not contain.
pub fn editable(app: Value) -> Value {
    let Value::Object(mut members) = app else { return app };
    for name in READ_ONLY {
        members.shift_remove(name);
    }
    Value::Object(members)
}

/// Why a `name=value` argument cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChangeError {
    #[error("'{0}' is not of the form name=value")]
    Form(String),
    #[error("'{0}' names no member of an app")]
    Name(String),
    #[error("'{name}' cannot be set: '{parent}' is not an object")]
    Parent { name: String, parent: String },
}

/// Members whose value is text even where it looks like a number.
const TEXT_MEMBERS: [&str; 5] = ["cmd", "executor", "id", "role", "user"];
/// Members that map names to text.
const TEXT_MAPS: [&str; 2] = ["env", "labels"];

/// The update that `name=value` arguments ask for. Dots reach into objects
/// (`env.LEVEL=debug`), which keep their other members as they are in `current`.
pub fn changes(current: &Value, arguments: &[String]) -> Result<Value, ChangeError> {
    let mut update = Map::new();
    for argument in arguments {
        let (name, value) =
            argument.split_once('=').ok_or_else(|| ChangeError::Form(argument.clone()))?;
        let (top, inner) = match name.split_once('.') {
            Some((top, inner)) => (top, Some(inner)),
            None => (name, None),
        };
        if top.is_empty() || inner == Some("") {
            return Err(ChangeError::Name(name.to_owned()));
        }
        let Some(inner) = inner else {
            update.insert(top.to_owned(), value_of(top, None, value));
            continue;
        };
        let parsed = value_of(top, Some(inner), value);
        let slot = update.entry(top).or_insert_with(|| {
            current.get(top).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!({}))
        });
        set(slot, top, inner, parsed)
            .map_err(|parent| ChangeError::Parent { name: name.to_owned(), parent })?;
    }
    Ok(Value::Object(update))
}

fn value_of(top: &str, inner: Option<&str>, value: &str) -> Value {
    let as_text =
        if inner.is_some() { TEXT_MAPS.contains(&top) } else { TEXT_MEMBERS.contains(&top) };
    match serde_json::from_str(value) {
        Ok(parsed @ (Value::String(_) | Value::Object(_) | Value::Array(_))) => parsed,
        Ok(parsed) if !as_text => parsed,
        _ => Value::String(value.to_owned()),
    }
}

fn set(slot: &mut Value, path: &str, name: &str, value: Value) -> Result<(), String> {
    let Value::Object(members) = slot else { return Err(path.to_owned()) };
    // Names in `env` and `labels` may contain dots themselves.
    match name.split_once('.') {
        Some((first, rest)) if !TEXT_MAPS.contains(&path) => {
            let inner = members.entry(first).or_insert_with(|| json!({}));
            set(inner, &format!("{path}.{first}"), rest, value)
        }
        _ => {
            members.insert(name.to_owned(), value);
            Ok(())
        }
    }
}
