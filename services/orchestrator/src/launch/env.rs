//! The environment of a task.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use karman_api::marathon::v2::App;
use karman_api::marathon::v2::time;
use karman_api::mesos::v1::Environment;
use karman_api::mesos::v1::environment::Variable;

use crate::instance::{Instance, Placement};

/// Longer labels are left out: an environment is limited.
const LABEL_CHARS_MAX: usize = 512;

/// What the orchestrator adds, and on top what the user wants.
pub(super) fn environment(app: &App, instance: &Instance, placement: &Placement) -> Environment {
    let mut vars = about_app(app, instance);
    vars.extend(about_ports(app, &placement.ports));
    vars.insert("HOST".into(), placement.host.clone());
    vars.extend(app.env.clone());
    let variable = |(name, value)| Variable { name, value: Some(value), ..Variable::default() };
    Environment { variables: vars.into_iter().map(variable).collect() }
}

fn about_app(app: &App, instance: &Instance) -> BTreeMap<String, String> {
    let mut vars: BTreeMap<String, String> = [
        ("MESOS_TASK_ID", instance.task_id()),
        ("MARATHON_APP_ID", app.id.clone()),
        ("MARATHON_APP_VERSION", time::format(instance.version.as_ms())),
        ("MARATHON_APP_RESOURCE_CPUS", format!("{:?}", app.cpus)),
        ("MARATHON_APP_RESOURCE_MEM", format!("{:?}", app.mem)),
        ("MARATHON_APP_RESOURCE_DISK", format!("{:?}", app.disk)),
        ("MARATHON_APP_RESOURCE_GPUS", app.gpus.to_string()),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", "FALSE".into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let mut keys = Vec::new();
    for (key, value) in &app.labels {
        if key.chars().count() > LABEL_CHARS_MAX || value.chars().count() > LABEL_CHARS_MAX {
            continue;
        }
        let key = sanitised(key);
        vars.insert(format!("MARATHON_APP_LABEL_{key}"), value.clone());
        keys.push(key);
    }
    vars.insert("MARATHON_APP_LABELS".into(), keys.join(" "));
    vars
}

fn about_ports(app: &App, ports: &[u16]) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    let Some(first) = ports.first() else { return vars };
    vars.insert("PORT".into(), first.to_string());
    let all: Vec<String> = ports.iter().map(u16::to_string).collect();
    vars.insert("PORTS".into(), all.join(","));
    for (i, (port, definition)) in all.into_iter().zip(&app.port_definitions).enumerate() {
        vars.insert(format!("PORT{i}"), port.clone());
        if definition.port != 0 {
            vars.insert(format!("PORT_{}", definition.port), port.clone());
        }
        if let Some(name) = &definition.name {
            vars.insert(format!("PORT_{}", sanitised(name)), port);
        }
    }
    vars
}

fn sanitised(key: &str) -> String {
    let replace = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    key.chars().map(replace).collect()
}
