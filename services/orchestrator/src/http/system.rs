//! What the orchestrator says about itself.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use karman_api::marathon::v2::info::{Info, Leader};
use serde_json::{Map, Value, json};

use crate::matcher::offer::ROLE;
use crate::plan::service_ports;

use super::Api;

impl Api {
    pub(super) fn info(&self) -> Info {
        let state = self.board.read();
        let master = state.master.clone().unwrap_or_default();
        Info {
            name: self.about.name.clone(),
            version: self.about.version.into(),
            buildref: "unknown".into(),
            elected: true,
            leader: Some(self.about.authority()),
            framework_id: state.framework_id.clone(),
            marathon_config: object(json!({
                "checkpoint": true, "executor": "//cmd", "failover_timeout": 604_800, "features": [],
                "framework_name": self.about.name, "ha": false, "hostname": self.about.hostname,
                "local_port_min": service_ports::FIRST, "local_port_max": service_ports::LAST,
                "master": master, "mesos_leader_ui_url": format!("{master}/"), "mesos_role": ROLE,
                "task_launch_timeout": 300_000, "webui_url": self.about.url,
            })),
            zookeeper_config: Map::new(),
            http_config: object(self.about.ports()),
        }
    }

    pub(super) fn leader(&self) -> Leader {
        Leader { leader: self.about.authority() }
    }

    /// In the form of Dropwizard metrics.
    pub(super) fn metrics(&self) -> Value {
        let state = self.board.read();
        let sum = |count: fn(&karman_api::marathon::v2::AppInfo) -> Option<u32>| -> u64 {
            state.apps.values().filter_map(|app| count(&app.info)).map(u64::from).sum()
        };
        let waiting: u64 = state
            .apps
            .values()
            .filter_map(|app| app.queue.as_ref())
            .map(|one| u64::from(one.count))
            .sum();
        let gauge = |value: u64| json!({ "value": value });
        json!({
            "version": "4.0.0",
            "gauges": {
                "marathon.apps.active.gauge": gauge(state.apps.len() as u64),
                "marathon.deployments.active.gauge": gauge(state.deployments.len() as u64),
                "marathon.instances.running.gauge": gauge(sum(|info| info.tasks_running)),
                "marathon.instances.staged.gauge": gauge(sum(|info| info.tasks_staged)),
                "marathon.instances.waiting.gauge": gauge(waiting),
            },
            "counters": {}, "histograms": {}, "meters": {}, "timers": {},
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Text, or a JSON string for those that ask for JSON.
pub(super) fn ping(headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let wants = |media_type: &str| {
        accept.split(',').any(|range| range.split(';').next().map(str::trim) == Some(media_type))
    };
    if wants("application/json") && !wants("text/plain") {
        return ([(header::CONTENT_TYPE, "application/json")], "\"pong\"").into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain;charset=utf-8")], "pong").into_response()
}
