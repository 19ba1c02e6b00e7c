//! The form that creates a service: what was typed, what is wrong with it, and
//! the app it stands for.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use karman_api::marathon::v2::path;

use crate::wire::marathon::Refusal;

/// What was typed, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Form {
    pub id: String,
    pub cmd: String,
    pub instances: String,
    pub cpus: String,
    pub mem: String,
    /// How many ports an instance gets.
    pub ports: String,
    /// One `KEY=value` a line.
    pub env: String,
    /// One `key=value` a line.
    pub labels: String,
    /// `none`, `http` or `tcp`.
    pub health: String,
    pub health_path: String,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            id: String::new(),
            cmd: String::new(),
            instances: "1".into(),
            cpus: "0.1".into(),
            mem: "64".into(),
            ports: "1".into(),
            env: String::new(),
            labels: String::new(),
            health: "none".into(),
            health_path: "/".into(),
        }
    }
}

/// What is wrong: by field, and what belongs to none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    pub fields: BTreeMap<&'static str, String>,
    pub general: Vec<String>,
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_empty()
    }

    /// The message for a field, empty if it is right.
    pub fn of(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    fn add(&mut self, field: &'static str, message: impl Into<String>) {
        let text = self.fields.entry(field).or_default();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&message.into());
    }
}

const PORTS_MAX: usize = 100;

/// The app that the form describes, or all that is wrong with it at once.
pub fn app(form: &Form) -> Result<Value, Problems> {
    let mut problems = Problems::default();
    let mut app = Map::new();
    let id = form.id.trim();
    if id.trim_matches('/').is_empty() {
        problems.add("id", "give the service a name, such as web or shop/web");
    } else if let Some(rule) = path::problem_of_id(id) {
        problems.add("id", rule);
    }
    app.insert("id".into(), json!(format!("/{}", id.trim_start_matches('/'))));
    if form.cmd.trim().is_empty() {
        problems.add("cmd", "say what to run");
    }
    app.insert("cmd".into(), json!(form.cmd.replace("\r\n", "\n").trim()));
    app.insert("instances".into(), whole(&form.instances, "instances", &mut problems));
    app.insert("cpus".into(), number(&form.cpus, "cpus", &mut problems));
    app.insert("mem".into(), number(&form.mem, "mem", &mut problems));
    let ports = ports(&form.ports, &mut problems);
    if let Some(check) = health(form, ports.len(), &mut problems) {
        app.insert("healthChecks".into(), json!([check]));
    }
    app.insert("portDefinitions".into(), Value::Array(ports));
    for (field, text) in [("env", &form.env), ("labels", &form.labels)] {
        let pairs = pairs(text, field, &mut problems);
        if !pairs.is_empty() {
            app.insert(field.into(), Value::Object(pairs));
        }
    }
    if problems.is_empty() { Ok(Value::Object(app)) } else { Err(problems) }
}

fn whole(text: &str, field: &'static str, problems: &mut Problems) -> Value {
    match text.trim().parse::<u32>() {
        Ok(number) => json!(number),
        Err(_) => {
            problems.add(field, "must be a whole number, 0 or more");
            Value::Null
        }
    }
}

fn number(text: &str, field: &'static str, problems: &mut Problems) -> Value {
    match text.trim().replace(',', ".").parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => json!(number),
        Ok(_) | Err(_) => {
            problems.add(field, "must be a number above 0");
            Value::Null
        }
    }
}

fn ports(text: &str, problems: &mut Problems) -> Vec<Value> {
    let text = if text.trim().is_empty() { "0" } else { text.trim() };
    match text.parse::<usize>() {
        Ok(1) => vec![json!({ "port": 0, "protocol": "tcp", "name": "default" })],
        Ok(count) if count <= PORTS_MAX => (0..count)
            .map(|index| json!({ "port": 0, "protocol": "tcp", "name": format!("port{index}") }))
            .collect(),
        Ok(_) | Err(_) => {
            problems.add("ports", format!("must be a whole number from 0 to {PORTS_MAX}"));
            Vec::new()
        }
    }
}

fn health(form: &Form, ports: usize, problems: &mut Problems) -> Option<Value> {
    let mut check = json!({
        "portIndex": 0,
        "gracePeriodSeconds": 30,
        "intervalSeconds": 5,
        "timeoutSeconds": 3,
        "maxConsecutiveFailures": 3,
    });
    match form.health.as_str() {
        "http" => {
            let path = form.health_path.trim();
            if !path.starts_with('/') {
                problems.add("health_path", "must start with /");
            }
            check["protocol"] = json!("HTTP");
            check["path"] = json!(path);
        }
        "tcp" => check["protocol"] = json!("TCP"),
        _ => return None,
    }
    if ports == 0 {
        problems.add("ports", "a health check needs at least one port");
    }
    Some(check)
}

fn pairs(text: &str, field: &'static str, problems: &mut Problems) -> Map<String, Value> {
    let mut out = Map::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                out.insert(key.trim().to_owned(), json!(value.trim()));
            }
            _ => problems.add(field, format!("line {} is not KEY=value", number + 1)),
        }
    }
    out
}

/// Sorts a refusal of the API to the fields that it is about.
pub fn problems(refusal: &Refusal) -> Problems {
    let mut problems = Problems::default();
    let details = refusal.details.as_array().map(Vec::as_slice).unwrap_or_default();
    for detail in details {
        let path = detail.get("path").and_then(Value::as_str).unwrap_or_default();
        let errors =
            detail.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
        let text = text.join("; ");
        match field(path) {
            Some(field) => problems.add(field, text),
            None if path.is_empty() || path == "/" => problems.general.push(text),
            None => problems.general.push(format!("{path}: {text}")),
        }
    }
    if problems.is_empty() {
        let more =
            refusal.details.as_str().map(|details| format!(": {details}")).unwrap_or_default();
        problems.general.push(format!("{}{more}", refusal.message));
    }
    problems
}

/// The field that shows what an API path is about.
fn field(path: &str) -> Option<&'static str> {
    let first = path.trim_start_matches('/').split(['/', '(', '[']).next()?;
    Some(match first {
        "id" => "id",
        "cmd" => "cmd",
        "instances" => "instances",
        "cpus" => "cpus",
        "mem" => "mem",
        "portDefinitions" | "ports" => "ports",
        "env" => "env",
        "labels" => "labels",
        "healthChecks" => "health_path",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
