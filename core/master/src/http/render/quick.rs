//! Tasks as [`super::tasks::task`] shows them, written at once: of what is kept
//! encoded only that is read which is shown, and nothing is built in between.
//! There are hundreds of thousands of them. A test holds both to each other.

use bytes::Bytes;
use karman_api::mesos::v1;
use karman_model::resource::{Resources, Value as Amount};
use prost::Message as _;
use serde::Serialize;

use super::stream::write;
use crate::ledger::Task;

/// Of `TaskInfo` what readers are shown.
#[derive(Clone, PartialEq, prost::Message)]
struct Info {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "7")]
    command: Option<Command>,
    #[prost(message, optional, tag = "8")]
    health_check: Option<v1::HealthCheck>,
    #[prost(message, optional, tag = "9")]
    container: Option<v1::ContainerInfo>,
    #[prost(message, optional, tag = "10")]
    labels: Option<v1::Labels>,
    #[prost(message, optional, tag = "11")]
    discovery: Option<v1::DiscoveryInfo>,
    #[prost(btree_map = "string, message", tag = "15")]
    limits: std::collections::BTreeMap<String, v1::value::Scalar>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Command {
    #[prost(string, optional, tag = "5")]
    user: Option<String>,
}

/// Of `TaskStatus` what readers are shown.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(double, optional, tag = "6")]
    timestamp: Option<f64>,
    #[prost(bool, optional, tag = "8")]
    healthy: Option<bool>,
    #[prost(message, optional, tag = "12")]
    labels: Option<v1::Labels>,
    #[prost(message, optional, tag = "13")]
    container_status: Option<v1::ContainerStatus>,
}

/// The task as JSON, made once until it changes.
pub(in crate::http) fn task(it: &Task) -> &Bytes {
    it.shown.get_or_make(|| {
        let mut json = Vec::with_capacity(1024);
        write_task(it, &mut json);
        json
    })
}

/// The fields of one object.
struct Object<'a> {
    json: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(json: &'a mut Vec<u8>) -> Self {
        json.push(b'{');
        Self { json, is_empty: true }
    }

    /// The name of a field that is known not to need escapes.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.json.push(b',');
        }
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        self.json
    }

    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        write(self.name(name), value);
    }

    fn put_some<T: Serialize>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Any name.
    fn put_named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if !std::mem::take(&mut self.is_empty) {
            self.json.push(b',');
        }
        write(self.json, name);
        self.json.push(b':');
        write(self.json, value);
    }

    fn end(self) {
        self.json.push(b'}');
    }
}

fn write_task(task: &Task, json: &mut Vec<u8>) {
    let info = Info::decode(task.info_bytes()).expect("the master has encoded the task itself");
    let Info { name, command, health_check, container, labels, discovery, limits } = info;
    let mut fields = Object::begin(json);
    fields.put("id", task.id.as_str());
    fields.put("name", &name);
    fields.put("framework_id", task.framework.as_str());
    fields.put("executor_id", task.executor.as_ref().map_or("", |id| id.as_str()));
    fields.put("slave_id", task.agent.as_str());
    fields.put("state", task.state.as_str_name());
    resources(&task.resources, fields.name("resources"));
    fields.put("role", &*task.role);
    statuses(task, fields.name("statuses"));
    if !limits.is_empty() {
        let mut all = Object::begin(fields.name("limits"));
        for (name, v1::value::Scalar { value }) in &limits {
            if value.is_finite() {
                all.put_named(name, value);
            } else {
                all.put_named(name, "Infinity");
            }
        }
        all.end();
    }
    fields.put_some("user", command.and_then(|command| command.user).as_ref());
    fields.put_some("labels", labels.as_ref().map(|labels| &labels.labels));
    fields.put_some("discovery", discovery.as_ref());
    fields.put_some("container", container.as_ref());
    fields.put_some("health_check", health_check.as_ref());
    fields.end();
}

fn statuses(task: &Task, json: &mut Vec<u8>) {
    json.push(b'[');
    for (at, (state, body)) in task.encoded_statuses().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        let status = Status::decode(body).expect("the master has encoded the status itself");
        let Status { timestamp, healthy, labels, container_status } = status;
        let mut fields = Object::begin(json);
        fields.put("state", state.as_str_name());
        fields.put("timestamp", &timestamp.unwrap_or_default());
        fields.put_some("labels", labels.as_ref().map(|labels| &labels.labels));
        fields.put_some("container_status", container_status.as_ref());
        fields.put_some("healthy", healthy.as_ref());
        fields.end();
    }
    json.push(b']');
}

/// As [`super::resources::short`].
fn resources(resources: &Resources, json: &mut Vec<u8>) {
    const ALWAYS: [&str; 4] = ["cpus", "gpus", "mem", "disk"];
    let mut fields = Object::begin(json);
    for name in ALWAYS {
        fields.put(name, &resources.scalar(name).as_f64());
    }
    // Sorted by name: those of one name are neighbours.
    let mut last = "";
    for resource in resources {
        let name = &*resource.kind.name;
        if ALWAYS.contains(&name) || name == last {
            continue;
        }
        last = name;
        match &resource.value {
            Amount::Scalar(_) => fields.put_named(name, &resources.scalar(name).as_f64()),
            Amount::Ranges(_) => fields.put_named(name, &resources.ranges(name).to_string()),
            Amount::Set(_) => fields.put_named(name, &resource.value.to_string()),
        }
    }
    fields.end();
}
