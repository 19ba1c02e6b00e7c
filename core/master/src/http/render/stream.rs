//! `/state` of a large cluster, written piece by piece.
//!
//! How a task or an agent looks is made once and kept with it until it changes;
//! here the pieces are put together. Which keys there are is said in
//! [`super::tasks`] (and written fast in [`super::quick`]), [`super::agents`], [`super::frameworks`] and
//! [`super::master`], and nowhere else.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{agents, frameworks, master, quick};
use crate::ledger::{Framework, Task, View};

/// The answer goes out in chunks of about this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// Where the chunks go.
pub(in crate::http) trait Sink {
    /// False: nobody reads any longer.
    fn take(&mut self, chunk: Bytes) -> bool;
}

/// `/state` as it is in this snapshot.
pub(in crate::http) fn state(view: &View, cluster: &str, version: &str, sink: &mut dyn Sink) {
    let mut out = Writer { buffer: Vec::with_capacity(CHUNK_BYTES), sink, is_read: true };
    out.open(&master::outline(view, cluster, version));
    let slaves = agents::present(view).map(|agent| agents::shown(agent).as_ref());
    out.list("slaves", slaves, Writer::raw);
    out.list("recovered_slaves", agents::recovered(view), |out, agent| out.value(&agent));
    out.list("frameworks", view.frameworks.values(), |out, it| framework(out, it));
    out.list("completed_frameworks", &view.completed, |out, it| framework(out, it));
    out.close();
    out.flush();
}

fn framework(out: &mut Writer<'_>, framework: &Framework) {
    out.open(&frameworks::fields(framework));
    let task = |out: &mut Writer<'_>, task: &std::sync::Arc<Task>| out.raw(quick::task(task));
    out.list("tasks", framework.tasks.values(), task);
    out.list("unreachable_tasks", framework.unreachable.values(), task);
    out.list("completed_tasks", framework.completed.iter(), task);
    let offers = framework.offers.values();
    out.list("offers", offers, |out, offer| out.raw(frameworks::shown_offer(offer)));
    out.close();
}

struct Writer<'a> {
    buffer: Vec<u8>,
    sink: &'a mut dyn Sink,
    is_read: bool,
}

impl Writer<'_> {
    /// An object with at least these fields.
    fn open(&mut self, fields: &Map<String, Value>) {
        self.value(fields);
        self.buffer.pop();
    }

    fn close(&mut self) {
        self.buffer.push(b'}');
    }

    /// One more field of the open object.
    fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.buffer.push(b',');
        self.value(name);
        self.buffer.extend_from_slice(b":[");
        for (at, item) in items.into_iter().enumerate() {
            if !self.is_read {
                return;
            }
            if at > 0 {
                self.buffer.push(b',');
            }
            write(self, item);
            if self.buffer.len() >= CHUNK_BYTES {
                self.flush();
            }
        }
        self.buffer.push(b']');
    }

    fn raw(&mut self, json: &[u8]) {
        self.buffer.extend_from_slice(json);
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        write(&mut self.buffer, value);
    }

    fn flush(&mut self) {
        // Room for what comes in one piece after the chunk is nearly full.
        let next = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        let full = std::mem::replace(&mut self.buffer, next);
        self.is_read = self.is_read && self.sink.take(full.into());
    }
}

pub(super) fn write<T: Serialize + ?Sized>(to: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(to, value).expect("answers hold strings, numbers, lists and maps");
}

/// Appends one object to another that may be empty.
pub(super) fn append(object: &mut Vec<u8>, more: &Map<String, Value>) {
    if more.is_empty() {
        return;
    }
    object.pop();
    if object.last() != Some(&b'{') {
        object.push(b',');
    }
    let begin = object.len();
    write(object, more);
    object.remove(begin);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use karman_api::mesos::v1;
    use karman_api::session;
    use karman_model::time::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::ledger::{Event, Identity, Ledger, SessionId};

    impl Sink for Vec<u8> {
        fn take(&mut self, chunk: Bytes) -> bool {
            self.extend_from_slice(&chunk);
            true
        }
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    fn register(agent: usize, tasks: &[&str]) -> Event {
        let id = format!("agent-{agent}");
        let task = |name: &&str| {
            let info = json!({"name": name, "task_id": {"value": name}, "agent_id": {"value": id},
                "command": {"value": "true", "user": "u"}, "labels": {"labels": [{"key": "a\"", "value": "é"}]},
                "limits": {"cpus": {"value": 2}, "mem": {"value": "Infinity"}},
                "discovery": {"visibility": "CLUSTER", "name": "web"},
                "container": {"type": "MESOS", "hostname": "h"},
                "health_check": {"type": "TCP", "tcp": {"port": 80}},
                "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}},
                    {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}},
                    {"name": "zones", "type": "SET", "set": {"item": ["a", "b"]}},
                    {"name": "bandwidth\"", "type": "SCALAR", "scalar": {"value": 7}}]});
            let status = json!({"task_id": {"value": name}, "state": "TASK_RUNNING", "timestamp": 12.5,
                "healthy": true, "labels": {"labels": [{"key": "k"}]}, "container_status": {"network_infos": [{"ip_addresses": [{"ip_address": "10.0.0.1"}]}]}});
            let status: v1::TaskStatus = serde_json::from_value(status).unwrap();
            session::AgentTask {
                framework_id: Some(v1::FrameworkId { value: "f1".into() }),
                task: Some(serde_json::from_value(info).unwrap()),
                status: Some(Box::new(status)),
                ..Default::default()
            }
        };
        let info = json!({"hostname": "h", "id": {"value": id}, "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}, "role": "web"},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 100}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 9}]}}]});
        let framework =
            json!({"user": "u", "name": "n", "id": {"value": "f1"}, "failover_timeout": 1000});
        let register = session::Register {
            agent: Some(serde_json::from_value(info).unwrap()),
            version: "1".into(),
            tasks: tasks.iter().map(task).collect(),
            frameworks: vec![serde_json::from_value(framework).unwrap()],
            ..Default::default()
        };
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Event::Register {
            session: SessionId(agent as u64),
            register: Box::new(register.into()),
            ip,
        }
    }

    #[track_caller]
    fn check(ledger: &Ledger) -> Value {
        let view = ledger.view();
        let mut written = Vec::new();
        state(&view, "c", "1.0", &mut written);
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written, master::state(&view, "c", "1.0"));
        written
    }

    #[test]
    fn pieces_put_together_are_the_whole() {
        let info = v1::MasterInfo { id: "m".into(), ..Default::default() };
        let mut ledger = Ledger::new(Identity { id: "m".into(), info, started: NOW });
        check(&ledger);
        ledger.apply(NOW, register(1, &["t1", "t2"]));
        ledger.apply(NOW, register(2, &["t3"]));
        let subscribe = json!({"user": "u", "name": "n2"});
        let info = Box::new(serde_json::from_value(subscribe).unwrap());
        let stream = "s".into();
        ledger.apply(NOW, Event::Subscribe { stream, info, suppressed: vec![], constraints: None });
        ledger.allocate(NOW);
        let before = check(&ledger);
        assert_eq!(before["frameworks"][0]["tasks"].as_array().unwrap().len(), 3);
        assert_eq!(before["frameworks"][1]["offers"].as_array().unwrap().len(), 2);
        // What was shown before must not be shown again.
        ledger.apply(NOW, register(1, &["t2"]));
        ledger.apply(NOW, Event::SessionClosed { session: SessionId(2) });
        ledger.allocate(NOW);
        let after = check(&ledger);
        assert_eq!(after["frameworks"][0]["completed_tasks"].as_array().unwrap().len(), 1);
        assert_ne!(before["slaves"], after["slaves"]);
    }
}
