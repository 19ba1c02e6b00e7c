//! Services under `/service/<name>/`: which running task answers for a name.
//! An app asks for a name by the labels that DC/OS defined.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::Deserialize;

/// Names are looked for in at most this many leading segments of a path.
const SEGMENTS_MAX: usize = 10;

/// Of an app, what decides about its path.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct App {
    pub id: String,
    pub labels: BTreeMap<String, String>,
    pub tasks: Vec<Task>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Task {
    pub host: String,
    pub state: String,
    pub ports: Vec<u16>,
}

/// Where requests for a service go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Scheme and authority.
    pub base: String,
    /// The path that the service sees.
    pub path: String,
    /// What was cut off the request's path.
    pub prefix: String,
}

/// Why no service answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "no service is called '{name}'; an app is reached here once it has the label DCOS_SERVICE_NAME"
    )]
    Unknown { name: String },
    #[error("service '{name}' has no running instance")]
    NotRunning { name: String },
    #[error(
        "service '{name}' has the label DCOS_SERVICE_PORT_INDEX='{index}', which is none of its ports"
    )]
    Port { name: String, index: String },
    #[error(
        "service '{name}' has the label DCOS_SERVICE_SCHEME='{scheme}'; only http can be reached"
    )]
    Scheme { name: String, scheme: String },
}

/// Finds the longest name that `rest` (what follows `/service/`) starts with.
pub fn resolve(apps: &[App], rest: &str) -> Result<Backend, Error> {
    let segments: Vec<&str> = rest.split('/').collect();
    let named = segments.len().saturating_sub(1).min(SEGMENTS_MAX);
    for count in (1..=named).rev() {
        let raw = segments.get(..count).unwrap_or_default().join("/");
        let name = super::decode(&raw);
        let Some(app) = apps.iter().find(|app| app.labels.get("DCOS_SERVICE_NAME") == Some(&name))
        else {
            continue;
        };
        let path = format!("/{}", segments.get(count..).unwrap_or_default().join("/"));
        return Ok(Backend { base: base(app, &name)?, path, prefix: format!("/service/{raw}") });
    }
    Err(Error::Unknown {
        name: segments.first().map(|name| super::decode(name)).unwrap_or_default(),
    })
}

fn base(app: &App, name: &str) -> Result<String, Error> {
    let name = name.to_owned();
    let label = |key: &str| app.labels.get(key).map(String::as_str);
    let scheme = label("DCOS_SERVICE_SCHEME").unwrap_or("http");
    if scheme != "http" {
        return Err(Error::Scheme { name, scheme: scheme.to_owned() });
    }
    let index = label("DCOS_SERVICE_PORT_INDEX").unwrap_or("0");
    let Some(task) = app.tasks.iter().find(|task| task.state == "TASK_RUNNING") else {
        return Err(Error::NotRunning { name });
    };
    let port = index.parse::<usize>().ok().and_then(|index| task.ports.get(index));
    match port {
        Some(port) => Ok(format!("http://{}:{port}", task.host)),
        None => Err(Error::Port { name, index: index.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
